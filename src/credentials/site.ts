import type { Db } from '../kernel/db.ts'
import type { Seal } from '../kernel/seal.ts'
import { Secret } from '../kernel/secret.ts'
import { Login } from '../catalog/contract.ts'
import { keptLogin, otherSecrets } from './rotation/login.ts'
import { LeaseFailure, type LeaseWriter, type Site } from './writer.ts'

const NOWHERE: Site = { target: '', settings: {}, provisioner: { user: '', secret: new Secret('') } }

/** Where a target is and the login to work there, opened from its seal. A retired target still has leases to end. */
export async function siteOf(db: Db, seal: Seal, targetId: string): Promise<Site> {
  const row = await db
    .selectFrom('target')
    .select(['name', 'settings', 'sealedProvisioner'])
    .where('id', '=', targetId)
    .executeTakeFirst()
  if (!row?.sealedProvisioner) throw new LeaseFailure('the target has no provisioner')
  const opened = seal.open(row.sealedProvisioner, `target.sealed_provisioner:${targetId}`)
  const { user, password } = Login.parse(JSON.parse(opened.reveal().toString('utf8')))
  const secret = new Secret(password)
  const others = () => otherSecrets(db, { seal }, { targetId, accountId: null }, secret)
  return { target: row.name, settings: row.settings, provisioner: { user, secret, others } }
}

type Placed = { readonly targetId: string; readonly accountId: string }

/** Where a writer works, as far as it needs to know: the target, our login there, and the standing login of the account. */
export async function siteFor(
  db: Db,
  seal: Seal,
  writer: Pick<LeaseWriter, 'needsSite' | 'worksWithoutLogin'>,
  { targetId, accountId }: Placed,
): Promise<Site> {
  if (!writer.needsSite) return NOWHERE
  if (writer.worksWithoutLogin !== true) return siteOf(db, seal, targetId)
  const row = await db
    .selectFrom('target')
    .select(['name', 'settings', 'sealedProvisioner'])
    .where('id', '=', targetId)
    .executeTakeFirstOrThrow()
  const account = await keptLogin(db, { seal }, { targetId, accountId })
  const site = row.sealedProvisioner === null ? NOWHERE : await siteOf(db, seal, targetId)
  return { ...site, target: row.name, settings: row.settings, ...(account && { account }) }
}

/** The standing credential of a static account. */
export async function staticSecretOf(db: Db, seal: Seal, accountId: string): Promise<Secret | undefined> {
  const row = await db.selectFrom('account').select('sealedCredential').where('id', '=', accountId).executeTakeFirst()
  if (!row?.sealedCredential) return undefined
  const opened = seal.open(row.sealedCredential, `account.sealed_credential:${accountId}`)
  return new Secret(opened.reveal().toString('utf8'))
}

/** Seals the secret of a lease for its row. */
export function sealSecret(seal: Seal, leaseId: string, secret: Secret): Buffer {
  return seal.seal(secret, `lease.sealed_secret:${leaseId}`)
}

export function openSecret(seal: Seal, leaseId: string, sealed: Buffer): Secret {
  return new Secret(seal.open(sealed, `lease.sealed_secret:${leaseId}`).reveal().toString('utf8'))
}
