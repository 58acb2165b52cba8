import { sql } from 'kysely'
import { z } from 'zod'
import { sha256 } from '../kernel/crypto.ts'
import { EgressFailed } from '../kernel/egress.ts'
import { Secret } from '../kernel/secret.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'

/** What telling works with. */
export type NoticeNeeds = Pick<TokenNeeds, 'db' | 'clock' | 'seal' | 'egress' | 'log'>

/** CIBA §7.1: a bearer token (RFC 6750 §2.1) of at least 128 bits, and no longer than 1024 characters. */
const NOTIFICATION_TOKEN = /^[A-Za-z0-9._~+/-]{22,1024}=*$/
const TOKEN_MAX_CHARS = 1_024
/** So many are told at once; the others wait a second. */
const AT_ONCE = 20
const FIRST_WAIT_SECONDS = 1
const LONGEST_WAIT_SECONDS = 60
/** It says nothing that we read. */
const ANSWER_TYPES = ['application/json', 'text/plain', 'text/html']
const ANSWER_MAX_BYTES = 16_384
const Sealed = z.object({ authReqId: z.string(), token: z.string() })

/** How a client will be told of the answer, as its row has it; undefined for one that polls. Throws `OAuthError`. */
export async function noticeFor(needs: NoticeNeeds, ruleId: string | null, token: string | undefined) {
  const rule =
    ruleId === null
      ? undefined
      : await needs.db.selectFrom('trustRule').select(['id', 'notifyUrl']).where('id', '=', ruleId).executeTakeFirst()
  if (!rule || rule.notifyUrl === null) {
    if (token === undefined) return undefined
    throw new OAuthError('invalid_request', 'Answers are polled for: no address to tell you at is registered.')
  }
  if (token === undefined || token.length > TOKEN_MAX_CHARS || !NOTIFICATION_TOKEN.test(token)) {
    throw new OAuthError('invalid_request', 'client_notification_token is what we show to you: 22 to 1024 characters.')
  }
  return {
    rowOf: (authReqId: string) => ({
      noticeRuleId: rule.id,
      sealedNotice: needs.seal.seal(new Secret(JSON.stringify({ authReqId, token })), placeOf(sha256(authReqId))),
      noticeNextAt: needs.clock.now(),
    }),
  }
}

function placeOf(authReqSha256: Buffer): string {
  return `backchannel_request.sealed_notice:${authReqSha256.toString('hex')}`
}

/**
 * Tells clients that their person answered (CIBA §10.2): the id and nothing else, to the address that their rule names, until they took it or
 * the time of the question is over. Whoever else reads it has no key to fetch the answer with.
 */
export async function tellAnswered(needs: NoticeNeeds, signal: AbortSignal): Promise<void> {
  await forgetOver(needs)
  const due = await takeDue(needs)
  await Promise.all(due.map((notice) => tell(needs, notice, signal)))
}

/** What nobody waits for any more: over, fetched already, or of a rule that ended. */
async function forgetOver({ db, clock }: NoticeNeeds): Promise<void> {
  await sql`
    update backchannel_request b
       set sealed_notice = null, notice_next_at = null
      from step_up s, trust_rule r
     where b.sealed_notice is not null and s.id = b.step_up_id and r.id = b.notice_rule_id
       and (s.expires_at <= ${clock.now()} or s.state = 'used' or r.state <> 'active')`.execute(db)
}

type Due = { readonly authReqSha256: Buffer; readonly sealedNotice: Buffer; readonly notifyUrl: string }

/** Those whose turn it is, moved on before they are told: another node takes others, and a node that dies is made up for later. */
async function takeDue({ db, clock }: NoticeNeeds): Promise<readonly Due[]> {
  const now = clock.now()
  const { rows } = await sql<Due>`
    update backchannel_request b
       set notice_tries = least(b.notice_tries + 1, 100),
           notice_next_at = ${now}::timestamptz
             + make_interval(secs => least(${FIRST_WAIT_SECONDS} * 2 ^ least(b.notice_tries, 10), ${LONGEST_WAIT_SECONDS}))
      from trust_rule r
     where r.id = b.notice_rule_id and r.notify_url is not null
       and b.auth_req_sha256 in (
         select d.auth_req_sha256
           from backchannel_request d join step_up s on s.id = d.step_up_id
          where d.sealed_notice is not null and d.notice_next_at <= ${now} and s.state in ('proven', 'refused')
          order by d.notice_next_at
          limit ${AT_ONCE}
            for update of d skip locked)
    returning b.auth_req_sha256, b.sealed_notice, r.notify_url`.execute(db)
  return rows
}

async function tell(needs: NoticeNeeds, due: Due, signal: AbortSignal): Promise<void> {
  const { authReqSha256, sealedNotice, notifyUrl } = due
  const opened = needs.seal.open(sealedNotice, placeOf(authReqSha256)).reveal().toString('utf8')
  const { authReqId, token } = Sealed.parse(JSON.parse(opened))
  const ask = {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ auth_req_id: authReqId }),
    types: ANSWER_TYPES,
    maxBytes: ANSWER_MAX_BYTES,
  } as const
  const status = await needs.egress.ask(notifyUrl, ask, signal).then(
    (answer) => answer.status,
    // What it says in return is ignored, in whatever kind of content.
    (error: unknown) => (error instanceof EgressFailed && error.reason === 'type' ? 200 : error),
  )
  if (typeof status !== 'number' || status >= 300) {
    needs.log.warn({ err: status, place: new URL(notifyUrl).host }, 'a client was not told of an answer yet')
    return
  }
  await needs.db
    .updateTable('backchannelRequest')
    .set({ sealedNotice: null, noticeNextAt: null })
    .where('authReqSha256', '=', authReqSha256)
    .execute()
}
