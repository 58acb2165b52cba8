import { sha256 } from '../../kernel/crypto.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import type { Seal } from '../../kernel/seal.ts'
import { Secret } from '../../kernel/secret.ts'
import { Login } from '../../catalog/contract.ts'

/** A login that stands at a target and that Reeve keeps: of a static account, or the provisioner (`accountId` null). */
export type LoginRef = { readonly targetId: string; readonly accountId: string | null }

/** A login as it is kept. */
export type KeptLogin = { readonly user: string; readonly secret: Secret; readonly sha256: Buffer }

type Seals = { readonly seal: Seal }

/** What is kept now, locked when a transaction asks for it; undefined when nothing is. */
export async function keptLogin(
  db: Db,
  { seal }: Seals,
  { targetId, accountId }: LoginRef,
  lock: 'lock' | 'look' = 'look',
): Promise<KeptLogin | undefined> {
  if (accountId !== null) {
    const rows = db.selectFrom('account').select(['name', 'principal', 'sealedCredential']).where('id', '=', accountId)
    const row = await (lock === 'lock' ? rows.forUpdate() : rows).executeTakeFirst()
    if (!row?.sealedCredential) return undefined
    const opened = seal.open(row.sealedCredential, `account.sealed_credential:${accountId}`)
    return { user: row.principal ?? row.name, secret: textOf(opened), sha256: sha256(row.sealedCredential) }
  }
  const rows = db.selectFrom('target').select('sealedProvisioner').where('id', '=', targetId)
  const row = await (lock === 'lock' ? rows.forUpdate() : rows).executeTakeFirst()
  if (!row?.sealedProvisioner) return undefined
  const opened = seal.open(row.sealedProvisioner, `target.sealed_provisioner:${targetId}`)
  const { user, password } = Login.parse(JSON.parse(opened.reveal().toString('utf8')))
  return { user, secret: new Secret(password), sha256: sha256(row.sealedProvisioner) }
}

/** Puts the new secret in the old one's place. The caller holds the lock of `keptLogin`. */
export async function keepSecret(
  tx: Tx,
  { seal }: Seals,
  { targetId, accountId }: LoginRef,
  next: { readonly user: string; readonly secret: Secret; readonly cause: number },
): Promise<void> {
  const { user, secret, cause } = next
  if (accountId !== null) {
    const sealedCredential = seal.seal(secret, `account.sealed_credential:${accountId}`)
    await tx
      .updateTable('account')
      .set((row) => ({
        sealedCredential,
        // The name of the account stays; which login it stands for may change with each rotation.
        principal: user,
        version: row('version', '+', 1),
        cause,
      }))
      .where('id', '=', accountId)
      .executeTakeFirstOrThrow()
    return
  }
  const login = new Secret(JSON.stringify({ user, password: secret.reveal() }))
  const sealedProvisioner = seal.seal(login, `target.sealed_provisioner:${targetId}`)
  await tx
    .updateTable('target')
    .set((row) => ({ sealedProvisioner, version: row('version', '+', 1), cause }))
    .where('id', '=', targetId)
    .executeTakeFirstOrThrow()
}

/**
 * What else a login may be at this very moment: what is kept by now, and both sides of an open rotation. Whoever was refused with
 * the one it had asks here, so that a rotation in between makes nobody fail.
 */
export async function otherLogins(
  db: Db,
  needs: Seals,
  login: LoginRef,
  tried: Secret,
): Promise<{ readonly user: string; readonly secret: Secret }[]> {
  const kept = await keptLogin(db, needs, login)
  const rotations = db
    .selectFrom('rotation')
    .select(['id', 'principal', 'nextPrincipal', 'sealedNext', 'sealedPrevious'])
    .where('overAt', 'is', null)
  const row = await (
    login.accountId === null
      ? rotations.where('targetId', '=', login.targetId).where('accountId', 'is', null)
      : rotations.where('accountId', '=', login.accountId)
  ).executeTakeFirst()
  const all = kept ? [{ user: kept.user, secret: kept.secret }] : []
  if (row?.sealedNext) {
    all.push({ user: row.nextPrincipal ?? row.principal, secret: openNext(needs, row.id, row.sealedNext) })
  }
  if (row?.sealedPrevious) {
    all.push({ user: row.principal, secret: openPrevious(needs, row.id, row.sealedPrevious) })
  }
  const seen = new Set([tried.reveal()])
  return all.filter(({ secret }) => !seen.has(secret.reveal()) && seen.add(secret.reveal()))
}

/** As `otherLogins`, of a login whose name does not change. */
export async function otherSecrets(db: Db, needs: Seals, login: LoginRef, tried: Secret): Promise<Secret[]> {
  return (await otherLogins(db, needs, login, tried)).map(({ secret }) => secret)
}

export function sealNext({ seal }: Seals, rotationId: string, secret: Secret): Buffer {
  return seal.seal(secret, `rotation.sealed_next:${rotationId}`)
}

export function openNext({ seal }: Seals, rotationId: string, sealed: Buffer): Secret {
  return textOf(seal.open(sealed, `rotation.sealed_next:${rotationId}`))
}

export function sealPrevious({ seal }: Seals, rotationId: string, secret: Secret): Buffer {
  return seal.seal(secret, `rotation.sealed_previous:${rotationId}`)
}

export function openPrevious({ seal }: Seals, rotationId: string, sealed: Buffer): Secret {
  return textOf(seal.open(sealed, `rotation.sealed_previous:${rotationId}`))
}

function textOf(opened: Secret<Buffer>): Secret {
  return new Secret(opened.reveal().toString('utf8'))
}
