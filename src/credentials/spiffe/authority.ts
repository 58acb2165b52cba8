/**
 * The keys of the trust domain, two kinds of them: one certifies X509-SVIDs, one signs JWT-SVIDs. Each goes
 *
 *     next → signing → trusted → retired
 *
 * and is in the bundle in the first three states: whoever verifies knows a key before anything comes that it signed, and as long as anything
 * of it may be in use. Both kinds turn together.
 */
import { secondsAfter } from '../../kernel/clock.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { transact, violatedConstraint, type Db, type Tx } from '../../kernel/db.ts'
import { installation } from '../../kernel/http/route.ts'
import { conflict } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { newSigningKey } from '../../kernel/signing-key.ts'
import { certificateAuthority, spkiOf } from '../../kernel/x509-key.ts'
import { SYSTEM, type Fact } from '../../ledger/ledger.ts'
import type { CredentialNeeds } from '../needs.ts'
import { spiffeKeyMade, spiffeKeysTurned } from './events.ts'

export type SpiffeNeeds = Pick<CredentialNeeds, 'clock' | 'random' | 'ledger' | 'seal'> & {
  readonly trustDomain: string
}

const KINDS = ['x509', 'jwt'] as const
type Kind = (typeof KINDS)[number]

/** A key with what it signs with. */
export type SigningRow = {
  readonly id: string
  readonly publicKey: Buffer
  readonly certificate: Buffer | null
  readonly key: Secret<Buffer>
}

const DAY = 86_400
/** Of the certificate that verifiers trust. Keys turn long before. */
const AUTHORITY_SECONDS = 365 * DAY
/** A key signs for so long; then the next one does. */
const TURN_SECONDS = 30 * DAY
/** Nothing that a key signed lives longer, so a key that has been replaced for so long is not needed any more. */
const LONGEST_SVID_SECONDS = 3600

/** The key of a kind that signs now. Makes the first keys, and lets the next ones sign when their time has come. */
export async function signingKey(db: Db, needs: SpiffeNeeds, kind: Kind): Promise<SigningRow> {
  for (let tries = 0; tries < 3; tries++) {
    const found = await signing(db, needs, kind)
    if (found && found.signsAt > secondsAfter(needs.clock.now(), -TURN_SECONDS)) return found
    try {
      await transact(db, (tx) => (found ? turn(tx, needs, BY_AGE) : begin(tx, needs)))
    } catch (error) {
      // Another node did it meanwhile.
      if (!violatedConstraint(error)?.startsWith('spiffe_authority_') && !conflict.is(error)) throw error
      if (found) return found
    }
  }
  throw new Error('no key of the trust domain signs')
}

type Turning = {
  readonly fact: Pick<Fact, 'actor' | 'resource' | 'outcome'>
  readonly distrust: boolean
  readonly reason: string
}

const BY_AGE: Turning = {
  fact: { actor: SYSTEM, resource: installation(), outcome: 'done' },
  distrust: false,
  reason: 'it has signed for long enough',
}

/** Lets the next keys sign. Throws `conflict` where what the keys before the present ones signed may still be in use. */
export async function turn(tx: Tx, needs: SpiffeNeeds, { fact, distrust, reason }: Turning): Promise<void> {
  const now = needs.clock.now()
  const rows = await tx
    .selectFrom('spiffeAuthority')
    .select(['id', 'kind', 'state', 'signsAt'])
    .where('state', '<>', 'retired')
    .orderBy('id')
    .forUpdate()
    .execute()
  const of = (state: string) => rows.filter((row) => row.state === state).map((row) => row.id)
  const [since] = rows.filter((row) => row.state === 'signing').map((row) => row.signsAt)
  if (!distrust && of('trusted').length > 0 && since && since > secondsAfter(now, -LONGEST_SVID_SECONDS)) {
    throw conflict(
      'The keys turned less than an hour ago, and what the old ones signed is in use. Wait, or distrust them.',
      {
        type: 'Installation',
        id: 'installation',
        state: 'turned',
      },
    )
  }
  const cause = await needs.ledger.record(tx, {
    ...fact,
    event: spiffeKeysTurned,
    facts: { distrusted: distrust, reason },
  })
  const move = async (ids: string[], change: { state: 'retired' | 'trusted' | 'signing' }) => {
    if (ids.length === 0) return
    const isOver = change.state !== 'signing'
    await tx
      .updateTable('spiffeAuthority')
      .set({
        ...change,
        ...(isOver ? { sealedKey: null } : { signsAt: now }),
        ...(change.state === 'retired' && { retiredAt: now }),
        cause,
      })
      .where('id', 'in', ids)
      .execute()
  }
  await move(of('trusted'), { state: 'retired' })
  await move(of('signing'), { state: distrust ? 'retired' : 'trusted' })
  await move(of('next'), { state: 'signing' })
  for (const kind of KINDS) await make(tx, needs, { kind, state: 'next' })
}

/** The first keys of an installation: one of each kind that signs, and one that comes after it. */
async function begin(tx: Tx, needs: SpiffeNeeds): Promise<void> {
  for (const kind of KINDS) for (const state of ['signing', 'next'] as const) await make(tx, needs, { kind, state })
}

async function make(tx: Tx, needs: SpiffeNeeds, { kind, state }: { kind: Kind; state: 'signing' | 'next' }) {
  const { clock, random, ledger, seal, trustDomain } = needs
  const id = newId(clock, random)
  const now = clock.now()
  const key = newSigningKey('ES256')
  const publicKey = spkiOf(key)
  const certificate =
    kind === 'jwt'
      ? null
      : certificateAuthority(key, {
          uri: `spiffe://${trustDomain}`,
          subject: `Reeve ${trustDomain}`.slice(0, 64),
          notBefore: now,
          notAfter: secondsAfter(now, AUTHORITY_SECONDS),
          serial: random.bytes(16),
        })
  const cause = await ledger.record(tx, {
    event: spiffeKeyMade,
    actor: SYSTEM,
    resource: installation(),
    outcome: 'done',
    facts: { kind, publicKeySha256: sha256(publicKey).toString('hex') },
  })
  await tx
    .insertInto('spiffeAuthority')
    .values({
      id,
      kind,
      publicKey,
      certificate,
      sealedKey: seal.seal(key, placeOf(id)),
      state,
      createdAt: now,
      signsAt: state === 'signing' ? now : null,
      cause,
    })
    .execute()
}

async function signing(
  db: Db,
  { seal }: SpiffeNeeds,
  kind: Kind,
): Promise<(SigningRow & { readonly signsAt: Date }) | undefined> {
  const row = await db
    .selectFrom('spiffeAuthority')
    .select(['id', 'publicKey', 'certificate', 'sealedKey', 'signsAt'])
    .where('kind', '=', kind)
    .where('state', '=', 'signing')
    .executeTakeFirst()
  if (!row?.sealedKey || !row.signsAt) return undefined
  const { id, publicKey, certificate, signsAt } = row
  return { id, publicKey, certificate, signsAt, key: new Secret(seal.open(row.sealedKey, placeOf(id)).reveal()) }
}

function placeOf(id: string): string {
  return `spiffe_authority.sealed_key:${id}`
}
