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
import type { Secret } from '../../kernel/secret.ts'
import { spkiOfJwk } from '../../kernel/signing-key.ts'
import { discardKeys, type SigningKeys } from '../../kernel/signing-keys.ts'
import { certificateAuthority } from '../../kernel/x509-key.ts'
import { SYSTEM, type Fact } from '../../ledger/ledger.ts'
import type { CredentialNeeds } from '../needs.ts'
import { spiffeKeyMade, spiffeKeysTurned } from './events.ts'

export type SpiffeNeeds = Pick<CredentialNeeds, 'clock' | 'random' | 'ledger' | 'seal' | 'log'> & {
  readonly trustDomain: string
  readonly keys: SigningKeys
}

const KINDS = ['x509', 'jwt'] as const
export type SpiffeKind = (typeof KINDS)[number]

/** A key with what it signs with. */
export type SigningRow = {
  readonly id: string
  readonly publicKey: Buffer
  readonly certificate: Buffer | null
  /** What is kept of its private half. */
  readonly kept: Secret<Buffer>
  readonly signsAt: Date
}

/** A key that was made and is not entered yet. */
type Draft = Omit<SigningRow, 'id' | 'signsAt'> & { readonly kind: SpiffeKind }

const DAY = 86_400
/** Of the certificate that verifiers trust. Keys turn long before. */
const AUTHORITY_SECONDS = 365 * DAY
/** A key signs for so long; then the next one does. */
const TURN_SECONDS = 30 * DAY
/** Nothing that a key signed lives longer, so a key that has been replaced for so long is not needed any more. */
const LONGEST_SVID_SECONDS = 3600

/** The key of a kind that signs now. Makes the first keys, and lets the next ones sign when their time has come. */
export async function signingKey(db: Db, needs: SpiffeNeeds, kind: SpiffeKind): Promise<SigningRow> {
  for (let tries = 0; tries < 3; tries++) {
    const found = await signingRow(db, needs, kind)
    if (found && mayStillSign(needs, found)) return found
    try {
      await (found ? turn(db, needs, BY_AGE) : begin(db, needs))
    } catch (error) {
      // Another node did it meanwhile.
      if (!violatedConstraint(error)?.startsWith('spiffe_authority_') && !conflict.is(error)) throw error
      if (found) return found
    }
  }
  throw new Error('no key of the trust domain signs')
}

/** Whether its time to be followed by the next one has not come yet. */
export function mayStillSign({ clock }: Pick<SpiffeNeeds, 'clock'>, { signsAt }: SigningRow): boolean {
  return signsAt > secondsAfter(clock.now(), -TURN_SECONDS)
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
export async function turn(db: Db, needs: SpiffeNeeds, turning: Turning): Promise<void> {
  const over = await withDrafts(needs, KINDS, (drafts) => transact(db, (tx) => turnTo(tx, needs, turning, drafts)))
  await discardKeys(needs, over)
}

/** Keys are made before rows are locked for them: whoever holds them may take long. None is left of an act that failed. */
async function withDrafts<T>(
  needs: SpiffeNeeds,
  kinds: readonly SpiffeKind[],
  act: (drafts: readonly Draft[]) => Promise<T>,
): Promise<T> {
  const drafts: Draft[] = []
  try {
    for (const kind of kinds) drafts.push(await draft(needs, kind))
    return await act(drafts)
  } catch (error) {
    await discardKeys(
      needs,
      drafts.map(({ kept }) => kept),
    )
    throw error
  }
}

/** Gives what was kept of the keys that sign no more. */
async function turnTo(
  tx: Tx,
  needs: SpiffeNeeds,
  { fact, distrust, reason }: Turning,
  drafts: readonly Draft[],
): Promise<Secret<Buffer>[]> {
  const now = needs.clock.now()
  const rows = await tx
    .selectFrom('spiffeAuthority')
    .select(['id', 'kind', 'state', 'signsAt', 'sealedKey'])
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
  for (const one of drafts) await enter(tx, needs, one, 'next')
  return rows.flatMap(({ id, state, sealedKey }) =>
    state === 'signing' && sealedKey ? [needs.seal.open(sealedKey, placeOf(id))] : [],
  )
}

/** The first keys of an installation: one of each kind that signs, and one that comes after it. */
async function begin(db: Db, needs: SpiffeNeeds): Promise<void> {
  await withDrafts(needs, [...KINDS, ...KINDS], (drafts) =>
    transact(db, async (tx) => {
      for (const [at, one] of drafts.entries()) await enter(tx, needs, one, at < KINDS.length ? 'signing' : 'next')
    }),
  )
}

async function draft({ clock, random, keys, trustDomain }: SpiffeNeeds, kind: SpiffeKind): Promise<Draft> {
  const { kept, key } = await keys.make('ES256', `reeve ${kind} ${trustDomain}`)
  const publicKey = spkiOfJwk(key.publicJwk)
  if (kind === 'jwt') return { kind, kept, publicKey, certificate: null }
  const now = clock.now()
  const certificate = await certificateAuthority(key, {
    uri: `spiffe://${trustDomain}`,
    subject: `Reeve ${trustDomain}`.slice(0, 64),
    notBefore: now,
    notAfter: secondsAfter(now, AUTHORITY_SECONDS),
    serial: random.bytes(16),
  })
  return { kind, kept, publicKey, certificate }
}

async function enter(
  tx: Tx,
  { clock, random, ledger, seal, keys }: SpiffeNeeds,
  { kind, kept, publicKey, certificate }: Draft,
  state: 'signing' | 'next',
) {
  const id = newId(clock, random)
  const now = clock.now()
  const cause = await ledger.record(tx, {
    event: spiffeKeyMade,
    actor: SYSTEM,
    resource: installation(),
    outcome: 'done',
    facts: { kind, publicKeySha256: sha256(publicKey).toString('hex'), heldIn: keys.place },
  })
  await tx
    .insertInto('spiffeAuthority')
    .values({
      id,
      kind,
      publicKey,
      certificate,
      sealedKey: seal.seal(kept, placeOf(id)),
      state,
      createdAt: now,
      signsAt: state === 'signing' ? now : null,
      cause,
    })
    .execute()
}

/** The key of a kind that signs, as its row says. */
export async function signingRow(
  db: Db,
  { seal }: Pick<SpiffeNeeds, 'seal'>,
  kind: SpiffeKind,
): Promise<SigningRow | undefined> {
  const row = await db
    .selectFrom('spiffeAuthority')
    .select(['id', 'publicKey', 'certificate', 'sealedKey', 'signsAt'])
    .where('kind', '=', kind)
    .where('state', '=', 'signing')
    .executeTakeFirst()
  if (!row?.sealedKey || !row.signsAt) return undefined
  const { id, publicKey, certificate, signsAt } = row
  return { id, publicKey, certificate, signsAt, kept: seal.open(row.sealedKey, placeOf(id)) }
}

function placeOf(id: string): string {
  return `spiffe_authority.sealed_key:${id}`
}
