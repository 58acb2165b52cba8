import { secondsAfter } from '../kernel/clock.ts'
import { equalBytes, sha256 } from '../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import type { FormAsked, FormDoor } from '../kernel/http/form.ts'
import { newId, type Random } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import type { Binding } from './binding.ts'
import { answering } from './answering.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { publicClientOf, sessionFor, type TokenSession } from './public-client.ts'
import { takeProof } from './used-proofs.ts'

export const DEVICE_PATH = '/oauth2/device_authorization'
/** Where a person types the code; short, since it is typed as well. */
export const VERIFICATION_PATH = '/device'

const CODE_BYTES = 32
const TTL_SECONDS = 600
const INTERVAL_SECONDS = 5
/** RFC 8628 §3.5: each time it was too fast. */
const SLOWER_SECONDS = 5
const SLOWEST_SECONDS = 60
/** Programs that wait at once: more than people who log in, and few enough that a guess hits nothing. */
const MOST_PENDING = 2_000
/** RFC 8628 §6.1: without vowels there are no words, and without look-alikes no slips. 20 letters, 8 of them: 34 bits. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'
const CODE_LETTERS = 8
const CODE = new RegExp(`^[${LETTERS}]{${CODE_LETTERS}}$`)

/** A program that has no browser of its own asks to be let in (RFC 8628 §3.1). */
export function deviceDoor(needs: TokenNeeds): FormDoor {
  return {
    path: DEVICE_PATH,
    repeatable: [],
    answer: (asked) =>
      answering(needs, asked, async () => {
        if (asked.fields.has('scope')) throw new OAuthError('invalid_scope', 'There are no scopes.')
        const { client, binding } = await publicClientOf(needs, asked, DEVICE_PATH)
        if (binding.kind === 'dpop' && !(await takeProof(needs.db, binding.once))) {
          throw new OAuthError('invalid_dpop_proof', 'The DPoP proof was shown before.')
        }
        return { status: 200, body: await begin(needs, asked, { clientId: client.id, binding }) }
      }),
  }
}

async function begin(
  needs: TokenNeeds,
  asked: FormAsked,
  { clientId, binding }: { readonly clientId: string; readonly binding: Binding },
): Promise<Readonly<Record<string, unknown>>> {
  const now = needs.clock.now()
  await makeRoom(needs, now)
  const deviceCode = `reeve_device_${needs.random.bytes(CODE_BYTES).toString('base64url')}`
  const userCode = newUserCode(needs.random)
  await needs.db
    .insertInto('deviceAuthorization')
    .values({
      id: newId(needs.clock, needs.random),
      deviceCodeSha256: sha256(deviceCode),
      userCodeFingerprint: fingerprintOf(needs.seal, userCode),
      clientId,
      keyKind: binding.kind,
      keySha256: binding.keySha256,
      clientAddress: asked.presented.clientAddress,
      clientAgent: asked.agent.slice(0, 200),
      intervalSeconds: INTERVAL_SECONDS,
      polledAt: null,
      loginSessionId: null,
      createdAt: now,
      expiresAt: secondsAfter(now, TTL_SECONDS),
    })
    .execute()
  return {
    device_code: deviceCode,
    user_code: `${userCode.slice(0, 4)}-${userCode.slice(4)}`,
    // No `verification_uri_complete`: a link that holds the code is what phishing is made of (RFC 8628 §5.4).
    verification_uri: `${needs.issuer()}${VERIFICATION_PATH}`,
    expires_in: TTL_SECONDS,
    interval: INTERVAL_SECONDS,
  }
}

/** Forgets what is over; throws while too many wait. */
async function makeRoom({ db }: Pick<TokenNeeds, 'db'>, now: Date): Promise<void> {
  await db.deleteFrom('deviceAuthorization').where('expiresAt', '<', secondsAfter(now, -TTL_SECONDS)).execute()
  const { count } = await db
    .selectFrom('deviceAuthorization')
    .select((is) => is.fn.countAll<number>().as('count'))
    .where('state', '=', 'pending')
    .where('expiresAt', '>', now)
    .executeTakeFirstOrThrow()
  if (count >= MOST_PENDING) throw new OAuthError('temporarily_unavailable', 'Too many programs wait now.')
}

function newUserCode(random: Random): string {
  let code = ''
  while (code.length < CODE_LETTERS) {
    const [byte = 255] = random.bytes(1)
    // 240 is a multiple of 20: every letter is as likely as any other.
    if (byte < 240) code += LETTERS[byte % LETTERS.length] ?? ''
  }
  return code
}

function fingerprintOf(seal: Seal, userCode: string): string {
  return seal.fingerprint(`device ${userCode}`)
}

/** A code as it was typed, in the form it was made; undefined for what cannot be one. */
function typedCode(typed: string): string | undefined {
  if (typed.length > 40) return undefined
  const letters = typed.toUpperCase().replaceAll(/[\s.\-‐-―]/g, '')
  return CODE.test(letters) ? letters : undefined
}

/** A program that waits, as its person is told of it. */
export type WaitingDevice = {
  readonly id: string
  readonly clientId: string
  readonly clientAddress: string
  readonly clientAgent: string
  readonly createdAt: Date
}

const WAITING = ['id', 'clientId', 'clientAddress', 'clientAgent', 'createdAt'] as const

/** Which program shows this code. Undefined for a code that is unknown, over or decided, which look the same. */
export async function deviceByCode(
  db: Db,
  { seal, clock }: Pick<TokenNeeds, 'seal' | 'clock'>,
  typed: string,
): Promise<WaitingDevice | undefined> {
  const code = typedCode(typed)
  if (code === undefined) return undefined
  return db
    .selectFrom('deviceAuthorization')
    .select(WAITING)
    .where('userCodeFingerprint', '=', fingerprintOf(seal, code))
    .where('state', '=', 'pending')
    .where('expiresAt', '>', clock.now())
    .executeTakeFirst()
}

/** Lets it in by a login that was made for it (or not, without one), once. False when it is over, or somebody else decided. */
export async function decideDevice(
  tx: Tx,
  { clock }: Pick<TokenNeeds, 'clock'>,
  id: string,
  loginSessionId: string | null,
): Promise<boolean> {
  const decided = await tx
    .updateTable('deviceAuthorization')
    .set({ state: loginSessionId === null ? 'denied' : 'approved', loginSessionId })
    .where('id', '=', id)
    .where('state', '=', 'pending')
    .where('expiresAt', '>', clock.now())
    .executeTakeFirst()
  return decided.numUpdatedRows === 1n
}

/** What is shown at the token endpoint with a device code: its login, and how it is spent in the transaction that issues. */
export type Redeemable = {
  readonly session: TokenSession
  readonly claim: (tx: Tx, tokenId: string) => Promise<void>
}

/** One question of a program that waits (RFC 8628 §3.4). Throws `OAuthError` with what it is to do (§3.5). */
export async function redeemDevice(
  needs: TokenNeeds,
  asked: FormAsked,
  shown: { readonly clientId: string; readonly binding: Binding },
): Promise<Redeemable> {
  const deviceCode = asked.fields.get('device_code')
  if (deviceCode === undefined) throw new OAuthError('invalid_request', 'device_code is missing.')
  const { id, loginSessionId } = await polled(needs, sha256(deviceCode), shown)
  const session = loginSessionId === null ? undefined : await sessionFor(needs.db, loginSessionId, needs.clock.now())
  if (!session) throw new OAuthError('invalid_grant', 'The login it was let in by ended.')
  return {
    session,
    async claim(tx) {
      const redeemed = await tx
        .updateTable('deviceAuthorization')
        .set({ state: 'redeemed' })
        .where('id', '=', id)
        .where('state', '=', 'approved')
        .executeTakeFirst()
      if (redeemed.numUpdatedRows !== 1n) throw unknownCode()
    },
  }
}

type Polled = { readonly id: string; readonly loginSessionId: string | null }

async function polled(
  needs: TokenNeeds,
  deviceCodeSha256: Buffer,
  { clientId, binding }: { readonly clientId: string; readonly binding: Binding },
): Promise<Polled> {
  const answer = await transact(needs.db, async (tx): Promise<Polled | OAuthError> => {
    const row = await tx
      .selectFrom('deviceAuthorization')
      .selectAll()
      .where('deviceCodeSha256', '=', deviceCodeSha256)
      .forUpdate()
      .executeTakeFirst()
    const now = needs.clock.now()
    // Whoever has the code and not the key learns nothing, not even whether it is a code.
    const isSameKey = row?.keyKind === binding.kind && equalBytes(row.keySha256, binding.keySha256)
    if (!row || row.clientId !== clientId || !isSameKey || row.state === 'redeemed') return unknownCode()
    if (row.state === 'denied') return new OAuthError('access_denied', 'The person did not let it in.')
    if (row.expiresAt <= now) return new OAuthError('expired_token', 'The code is over. Ask for another one.')
    const isTooFast = row.polledAt !== null && now < secondsAfter(row.polledAt, row.intervalSeconds)
    const intervalSeconds = isTooFast
      ? Math.min(row.intervalSeconds + SLOWER_SECONDS, SLOWEST_SECONDS)
      : row.intervalSeconds
    await tx
      .updateTable('deviceAuthorization')
      .set({ polledAt: now, intervalSeconds })
      .where('id', '=', row.id)
      .execute()
    if (isTooFast) return new OAuthError('slow_down', `Ask every ${intervalSeconds} seconds.`)
    if (row.state === 'pending') return new OAuthError('authorization_pending', 'The person has not decided yet.')
    return row
  })
  if (answer instanceof OAuthError) throw answer
  return answer
}

function unknownCode(): OAuthError {
  return new OAuthError('invalid_grant', 'The code is unknown, used, or was made for another key.')
}
