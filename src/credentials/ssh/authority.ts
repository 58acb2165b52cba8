import { ed25519Signer, sha256, type Ed25519Signer } from '../../kernel/crypto.ts'
import { transact, violatedConstraint, type Db, type Tx } from '../../kernel/db.ts'
import { installation } from '../../kernel/http/route.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { actOf } from '../../identities/identities.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { CredentialNeeds } from '../needs.ts'
import { authorityBlob, authorityLine } from './certificate.ts'
import type { SshAuthority } from './contract.ts'
import { sshAuthorityMade, sshAuthorityRetired } from './events.ts'
import { makeRevocationList } from './revocation-list.ts'

type Needs = Pick<CredentialNeeds, 'clock' | 'random' | 'ledger' | 'seal'>

/** The key that signs now. */
export type SigningAuthority = { readonly id: string; readonly signer: Ed25519Signer }

const SEED_BYTES = 32

/** The key that signs now; made at the first need of it. */
export async function signingAuthority(db: Db, needs: Needs): Promise<SigningAuthority> {
  const found = await current(db, needs)
  if (found) return found
  try {
    await transact(db, (tx) => make(tx, needs))
  } catch (error) {
    if (violatedConstraint(error) !== 'one_ssh_authority_signs') throw error
  }
  const made = await current(db, needs)
  if (!made) throw new Error('no key signs certificates for hosts')
  return made
}

/** Those that hosts are to trust: the one that signs, and older ones with a certificate that is still good. */
export async function listAuthorities(db: Db, needs: Needs): Promise<{ items: SshAuthority[] }> {
  await signingAuthority(db, needs)
  const rows = await trusted(db, needs.clock.now())
  return { items: rows.map(shownAs) }
}

/** Retires the key that signs, for good, and makes another. Throws nothing else than a caller can mend: two at once take turns. */
export async function rotateAuthority(
  tx: Tx,
  needs: Needs,
  permit: Permit<'ssh-authority.rotate'>,
  { distrust, reason }: { readonly distrust: boolean; readonly reason: string },
): Promise<SshAuthority> {
  const now = needs.clock.now()
  const signing = await tx
    .selectFrom('sshAuthority')
    .select(['id', 'publicKey'])
    .where('retiredAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (signing) {
    const cause = await needs.ledger.record(tx, {
      ...actOf(permit),
      event: sshAuthorityRetired,
      facts: { publicKeySha256: fingerprint(signing.publicKey), distrusted: distrust, reason },
    })
    await tx
      .updateTable('sshAuthority')
      .set({ retiredAt: now, distrusted: distrust, cause })
      .where('id', '=', signing.id)
      .where('retiredAt', 'is', null)
      .executeTakeFirstOrThrow()
  }
  return shownAs(await make(tx, needs))
}

/** What `sshd` refuses: every certificate that has not run out and whose grant is over. */
export async function revocationList(db: Db, needs: Pick<Needs, 'clock'>): Promise<Buffer> {
  const now = needs.clock.now()
  const rows = await db
    .selectFrom('sshCertificate')
    .innerJoin('lease', 'lease.id', 'sshCertificate.leaseId')
    .innerJoin('sshAuthority', 'sshAuthority.id', 'sshCertificate.authorityId')
    .select(['sshCertificate.serial', 'sshAuthority.publicKey'])
    .where('lease.state', 'in', ['ending', 'dead'])
    .where('sshCertificate.validBefore', '>', now)
    .orderBy('sshCertificate.serial')
    .execute()
  const byAuthority = Map.groupBy(rows, ({ publicKey }) => publicKey.toString('hex'))
  const revoked = [...byAuthority].map(([key, of]) => ({
    authority: authorityBlob({ publicKey: Buffer.from(key, 'hex') }),
    serials: of.map(({ serial }) => BigInt(serial)),
  }))
  // The instant of its making: it grows by itself and survives a restored database.
  return makeRevocationList(BigInt(now.getTime()), now, revoked)
}

async function current(db: Db, { seal }: Needs): Promise<SigningAuthority | undefined> {
  const row = await db
    .selectFrom('sshAuthority')
    .select(['id', 'sealedSeed'])
    .where('retiredAt', 'is', null)
    .executeTakeFirst()
  return row && { id: row.id, signer: ed25519Signer(seal.open(row.sealedSeed, placeOf(row.id))) }
}

async function make(tx: Tx, { clock, random, ledger, seal }: Needs): Promise<Row> {
  const id = newId(clock, random)
  const seed = new Secret(Buffer.from(random.bytes(SEED_BYTES)))
  const { publicKey } = ed25519Signer(seed)
  const cause = await ledger.record(tx, {
    event: sshAuthorityMade,
    actor: SYSTEM,
    resource: installation(),
    outcome: 'done',
    facts: { publicKeySha256: fingerprint(publicKey) },
  })
  const made = { id, publicKey, createdAt: clock.now(), retiredAt: null }
  await tx
    .insertInto('sshAuthority')
    .values({ ...made, sealedSeed: seal.seal(seed, placeOf(id)), cause })
    .execute()
  return made
}

type Row = {
  readonly id: string
  readonly publicKey: Buffer
  readonly createdAt: Date
  readonly retiredAt: Date | null
}

function trusted(db: Db, now: Date): Promise<Row[]> {
  return db
    .selectFrom('sshAuthority')
    .select(['id', 'publicKey', 'createdAt', 'retiredAt'])
    .where('distrusted', '=', false)
    .where((either) =>
      either.or([
        either('retiredAt', 'is', null),
        either.exists(
          either
            .selectFrom('sshCertificate')
            .select('serial')
            .whereRef('sshCertificate.authorityId', '=', 'sshAuthority.id')
            .where('validBefore', '>', now),
        ),
      ]),
    )
    .orderBy('createdAt', 'desc')
    .execute()
}

function shownAs({ id, publicKey, createdAt, retiredAt }: Row): SshAuthority {
  return {
    id,
    line: authorityLine({ publicKey }, `reeve-${id}`),
    state: retiredAt === null ? 'signing' : 'trusted',
    createdAt,
    retiredAt,
  }
}

function fingerprint(publicKey: Buffer): string {
  return sha256(authorityBlob({ publicKey })).toString('hex')
}

function placeOf(id: string): string {
  return `ssh_authority.sealed_seed:${id}`
}
