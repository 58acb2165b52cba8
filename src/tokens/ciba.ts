import { AccessDetails, type Identity } from '../identities/contract.ts'
import { findIdentity } from '../identities/identities.ts'
import { canonicalJson } from '../kernel/canonical-json.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { equalBytes, sha256 } from '../kernel/crypto.ts'
import { transact, type Tx } from '../kernel/db.ts'
import type { FormAsked, FormDoor } from '../kernel/http/form.ts'
import { notFound } from '../kernel/problem.ts'
import { answering } from './answering.ts'
import { bindingOf, type Binding } from './binding.ts'
import { parseDetails, type Narrowed } from './details.ts'
import { backchannelRedeemed } from './events.ts'
import { GRANT_TYPES } from './grants.ts'
import type { Issuing } from './issuing.ts'
import type { TokenNeeds } from './needs.ts'
import { noticeFor } from './notices.ts'
import { OAuthError } from './oauth-error.ts'
import { clientOf, type Proven } from './proven.ts'
import type { Holder } from './known-rules.ts'
import { takeProof } from './used-proofs.ts'

export const BACKCHANNEL_PATH = '/oauth2/backchannel_authentication'

const ID_BYTES = 32
const NONCE_BYTES = 32
const TTL_SECONDS = 300
const SHORTEST_SECONDS = 60
const LONGEST_SECONDS = 600
const INTERVAL_SECONDS = 5
const SLOWER_SECONDS = 5
const SLOWEST_SECONDS = 60
/** CIBA §7.1: short, and nothing that acts on a screen. */
const MESSAGE = /^[\x20-\x7e]{1,100}$/

/** Puts before a person what somebody asks of them, to be answered with a fresh proof; wired in the composition root. */
export type AskPerson = (
  tx: Tx,
  asked: {
    readonly kind: 'backchannel'
    readonly asker: Pick<Identity, 'id' | 'kind'>
    readonly personId: string
    readonly proofId: null
    readonly operation: 'token.obtain'
    readonly level: 'phishing-resistant'
    readonly nonce: Buffer
    readonly actSha256: Buffer
    readonly innerSha256: null
    readonly lines: readonly string[]
    readonly clientAddress: string
    readonly ttlSeconds: number
  },
) => Promise<{ readonly id: string }>

/** An agent asks the person who sponsors it, on a device of theirs (OpenID Connect CIBA §7). The answer is fetched by polling; who has an address is told when. */
export function backchannelDoor(needs: TokenNeeds, askPerson: AskPerson): FormDoor {
  return {
    path: BACKCHANNEL_PATH,
    repeatable: [],
    answer: (asked) =>
      answering(needs, asked, async () => {
        const { client, binding } = await provenClient(needs, asked, BACKCHANNEL_PATH)
        for (const once of [...client.once, ...(binding.kind === 'dpop' ? [binding.once] : [])]) {
          if (!(await takeProof(needs.db, once))) throw new OAuthError('invalid_client', 'It was shown before.')
        }
        return { status: 200, body: await begin(needs, asked, { client, binding, askPerson }) }
      }),
  }
}

type Shown = { readonly client: Proven; readonly binding: Binding }

async function provenClient(needs: TokenNeeds, asked: FormAsked, path: string): Promise<Shown> {
  const client = await clientOf(needs, asked)
  if (!client) throw new OAuthError('invalid_client', 'A client proves itself by private_key_jwt or a TLS certificate.')
  const binding = await bindingOf(needs, asked, path)
  if (!binding) throw new OAuthError('invalid_request', 'Send a DPoP proof, or come with a TLS certificate.')
  return { client, binding }
}

async function begin(
  needs: TokenNeeds,
  asked: FormAsked,
  { client, binding, askPerson }: Shown & { readonly askPerson: AskPerson },
): Promise<Readonly<Record<string, unknown>>> {
  const { fields } = asked
  if (fields.get('scope') !== 'openid') throw new OAuthError('invalid_scope', 'The scope is openid, and nothing more.')
  const notice = await noticeFor(needs, client.ruleId, fields.get('client_notification_token'))
  const person = await sponsorOf(needs, client.identity, fields.get('login_hint'))
  const details = parseDetails(fields.get('authorization_details') ?? '[]')
  if (details.length === 0) {
    throw new OAuthError('invalid_authorization_details', 'Say what it is for: a person agrees to nothing else.')
  }
  const message = fields.get('binding_message') ?? null
  if (message !== null && !MESSAGE.test(message)) {
    throw new OAuthError('invalid_binding_message', 'Up to 100 printable characters of ASCII.')
  }
  const ttlSeconds = expiryIn(fields.get('requested_expiry'))
  const keySha256 = binding.keySha256.toString('hex')
  const act = { v: 1, clientId: client.identity.id, personId: person.id, details, message, keySha256, ttlSeconds }
  const authReqId = needs.random.bytes(ID_BYTES).toString('base64url')
  await transact(needs.db, async (tx) => {
    const { id } = await askPerson(tx, {
      kind: 'backchannel',
      asker: client.identity,
      personId: person.id,
      proofId: null,
      operation: 'token.obtain',
      level: 'phishing-resistant',
      nonce: needs.random.bytes(NONCE_BYTES),
      actSha256: sha256(canonicalJson(act)),
      innerSha256: null,
      lines: linesOf(client.identity, person, details, message),
      clientAddress: asked.presented.clientAddress,
      ttlSeconds,
    })
    await tx
      .insertInto('backchannelRequest')
      .values({
        authReqSha256: sha256(authReqId),
        stepUpId: id,
        clientId: client.identity.id,
        keySha256: binding.keySha256,
        details: JSON.stringify(details),
        intervalSeconds: INTERVAL_SECONDS,
        polledAt: null,
        ...notice?.rowOf(authReqId),
      })
      .execute()
  })
  return { auth_req_id: authReqId, expires_in: ttlSeconds, interval: INTERVAL_SECONDS }
}

/** Whom an agent may ask: its sponsor, and nobody else. Whoever else there is, it does not learn here. */
async function sponsorOf(needs: TokenNeeds, agent: Holder, hint: string | undefined): Promise<Identity> {
  if (agent.kind !== 'agent' || agent.sponsorId === null) {
    throw new OAuthError('unauthorized_client', 'An agent asks the person who sponsors it; nothing else asks anybody.')
  }
  if (hint === undefined) throw new OAuthError('invalid_request', 'login_hint names the person.')
  const found = await findIdentity(needs.db, hint).catch((error: unknown) => {
    if (notFound.is(error)) return undefined
    throw error
  })
  if (found?.id === agent.sponsorId && found.kind === 'human' && found.state === 'active') return found
  throw new OAuthError('unknown_user_id', 'This is nobody whom you may ask.')
}

function expiryIn(text: string | undefined): number {
  if (text === undefined) return TTL_SECONDS
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (seconds < 1) throw new OAuthError('invalid_request', 'requested_expiry is a number of seconds.')
  return Math.min(Math.max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
}

function linesOf(agent: Holder, person: Identity, details: Narrowed, message: string | null): string[] {
  const scope = details.map(({ actions, accounts, targets, purpose }) => {
    const part = (what: string, of: readonly string[] | undefined) => `${what} ${of ? of.join(', ') : 'any'}`
    return [
      part('actions', actions),
      part('accounts', accounts),
      part('targets', targets),
      `purpose ${purpose ?? 'any'}`,
    ].join('; ')
  })
  return [
    `a token by which the agent ${agent.name} acts for ${person.name}`,
    ...(message === null ? [] : [`it says: ${message}`]),
    ...scope.map((each) => `good for: ${each}`),
    'requests it makes with the token are decided, and approved, as all others',
  ]
}

/** One question of a client that waits (CIBA §10.1). Throws `OAuthError` with what it is to do (§11). */
export async function backchannelIssuing(
  needs: TokenNeeds,
  asked: FormAsked,
  binding: Binding | undefined,
): Promise<Issuing> {
  const client = await clientOf(needs, asked)
  const id = asked.fields.get('auth_req_id')
  if (!client) throw new OAuthError('invalid_client', 'A client proves itself by private_key_jwt or a TLS certificate.')
  if (id === undefined || !binding) throw new OAuthError('invalid_request', 'auth_req_id or the key is missing.')
  const found = await polled(needs, sha256(id), { client, binding })
  if (client.identity.sponsorId !== found.personId) throw unknownId()
  return {
    grantType: GRANT_TYPES.backchannel,
    identity: client.identity,
    onBehalfOfId: found.personId,
    actorIds: [],
    parentId: null,
    ruleId: client.ruleId,
    ruleIds: client.ruleId === null ? [] : [client.ruleId],
    proof: binding.kind,
    binding,
    isBound: true,
    ttlSeconds: client.ttlSeconds,
    notAfter: [],
    details: found.details,
    audience: null,
    once: [...client.once, ...(binding.kind === 'dpop' ? [binding.once] : [])],
    jti: null,
    session: null,
    claim: (tx, tokenId) => claim(tx, needs, client.identity, { ...found, tokenId }),
  }
}

type Found = {
  readonly stepUpId: string
  readonly personId: string
  readonly actSha256: Buffer
  readonly details: Narrowed
}

async function polled(needs: TokenNeeds, authReqSha256: Buffer, { client, binding }: Shown): Promise<Found> {
  const answer = await transact(needs.db, async (tx): Promise<Found | OAuthError> => {
    const row = await tx
      .selectFrom('backchannelRequest as b')
      .innerJoin('stepUp as s', 's.id', 'b.stepUpId')
      .select(['b.stepUpId', 'b.clientId', 'b.keySha256', 'b.details', 'b.intervalSeconds', 'b.polledAt'])
      .select(['s.state', 's.expiresAt', 's.personId', 's.actSha256'])
      .where('b.authReqSha256', '=', authReqSha256)
      .forUpdate('b')
      .executeTakeFirst()
    const now = needs.clock.now()
    const isTheirs = row?.clientId === client.identity.id && equalBytes(row.keySha256, binding.keySha256)
    if (!row || !isTheirs || row.state === 'used') return unknownId()
    if (row.state === 'refused') return new OAuthError('access_denied', 'The person refused it.')
    if (row.expiresAt <= now) return new OAuthError('expired_token', 'Nobody answered in time. Ask again.')
    const isTooFast = row.polledAt !== null && now < secondsAfter(row.polledAt, row.intervalSeconds)
    const intervalSeconds = Math.min(row.intervalSeconds + (isTooFast ? SLOWER_SECONDS : 0), SLOWEST_SECONDS)
    await tx
      .updateTable('backchannelRequest')
      .set({ polledAt: now, intervalSeconds })
      .where('authReqSha256', '=', authReqSha256)
      .execute()
    if (isTooFast) return new OAuthError('slow_down', `Ask every ${intervalSeconds} seconds.`)
    if (row.state === 'pending') return new OAuthError('authorization_pending', 'The person has not answered yet.')
    const { stepUpId, personId, actSha256 } = row
    return { stepUpId, personId, actSha256, details: AccessDetails.parse(row.details) }
  })
  if (answer instanceof OAuthError) throw answer
  return answer
}

/** Spends the person's proof on the token, in the transaction that issues it; the row count is the decision (rule 3). */
async function claim(
  tx: Tx,
  needs: TokenNeeds,
  agent: Holder,
  { stepUpId, personId, actSha256, tokenId }: Found & { readonly tokenId: string },
): Promise<void> {
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    event: backchannelRedeemed,
    actor: { id: agent.id, kind: agent.kind },
    onBehalfOf: [personId],
    action: 'token.obtain',
    resource: { type: 'StepUp', id: stepUpId },
    outcome: 'done',
    facts: { stepUpId, tokenId, personId, actSha256: actSha256.toString('hex') },
  })
  const { numUpdatedRows } = await tx
    .updateTable('stepUp')
    .set({ state: 'used', usedAt: now, cause })
    .where('id', '=', stepUpId)
    .where('state', '=', 'proven')
    .where('expiresAt', '>', now)
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw unknownId()
}

function unknownId(): OAuthError {
  return new OAuthError('invalid_grant', 'The auth_req_id is unknown, used, or was made for another key.')
}
