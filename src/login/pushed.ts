import { z } from 'zod'
import { secondsAfter } from '../kernel/clock.ts'
import { equalBytes, sha256 } from '../kernel/crypto.ts'
import type { Db } from '../kernel/db.ts'
import type { FormAsked, FormDoor } from '../kernel/http/form.ts'
import { answering, OAuthError, publicClientOf, PUSHED_PATH, takeProof, type CodeKey } from '../tokens/tokens.ts'
import { clientAt, faultOf, keyNamed, NAMES, type Fields } from './asking.ts'
import type { LoginNeeds } from './needs.ts'
import { LoginRefused } from './refused.ts'

/** RFC 9126 §2.2. */
const REQUEST_URI = /^urn:ietf:params:oauth:request_uri:([\w-]{43})$/
const PREFIX = 'urn:ietf:params:oauth:request_uri:'
const SECRET_BYTES = 32
/** RFC 9126 §2.2: short, and long enough for a person who has to log in first. */
const TTL_SECONDS = 300
/** Any program may say that it is a public client, so there is an end to how many wait. */
const MOST_WAITING = 10_000

/** Where a client leaves what it will ask for, with the key that what comes of it belongs to, before it sends a browser (RFC 9126). */
export function pushedDoor(needs: LoginNeeds): FormDoor {
  return {
    path: PUSHED_PATH,
    repeatable: [],
    answer: (asked) =>
      answering(needs, asked, async () => {
        const { client, binding } = await publicClientOf(needs, asked, PUSHED_PATH)
        if (binding.kind === 'dpop' && !(await takeProof(needs.db, binding.once))) {
          throw new OAuthError('invalid_dpop_proof', 'The DPoP proof was shown before.')
        }
        const fields = readPushed(needs, asked)
        const key: CodeKey = { kind: binding.kind, sha256: binding.keySha256 }
        const named = keyNamed(fields)
        // RFC 9449 §10.1: both name the same key, or one of them is not the client's.
        if (named && (named.kind !== key.kind || !equalBytes(named.sha256, key.sha256))) {
          throw new OAuthError('invalid_request', 'dpop_jkt names another key than the one it was pushed with.')
        }
        const uri = await keep(needs, { clientId: client.id, fields, key })
        return { status: 201, body: { request_uri: uri, expires_in: TTL_SECONDS } }
      }),
  }
}

/** What is pushed is looked at now, as a browser's would be later. Throws `OAuthError`. */
function readPushed(needs: LoginNeeds, { fields }: FormAsked): Fields {
  // RFC 9126 §2.1: a reference in what is referred to is refused.
  if (fields.has('request_uri')) throw new OAuthError('invalid_request', 'A pushed request names no other one.')
  if (!clientAt(needs, fields)) {
    throw new OAuthError('invalid_request', 'The redirect_uri is not one that this client is registered with.')
  }
  const fault = faultOf(fields)
  if (fault) throw new OAuthError(fault.error, fault.why)
  return new Map(
    NAMES.flatMap((name): [string, string][] => {
      const value = fields.get(name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

type Pushed = { readonly clientId: string; readonly fields: Fields; readonly key: CodeKey }

async function keep(needs: LoginNeeds, { clientId, fields, key }: Pushed): Promise<string> {
  const { db } = needs
  const now = needs.clock.now()
  await db.deleteFrom('pushedRequest').where('expiresAt', '<', now).execute()
  const { count } = await db
    .selectFrom('pushedRequest')
    .select((is) => is.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  if (count >= MOST_WAITING) throw new OAuthError('temporarily_unavailable', 'Too many requests wait now.')
  const secret = needs.random.bytes(SECRET_BYTES).toString('base64url')
  await db
    .insertInto('pushedRequest')
    .values({
      requestUriSha256: sha256(secret),
      clientId,
      fields: JSON.stringify(Object.fromEntries(fields)),
      keyKind: key.kind,
      keySha256: key.sha256,
      createdAt: now,
      expiresAt: secondsAfter(now, TTL_SECONDS),
      usedAt: null,
    })
    .execute()
  return `${PREFIX}${secret}`
}

const Kept = z.record(z.string(), z.string())
const KeyKind = z.enum(['dpop', 'mtls'])

/** What a client left under this name, as long as nothing was answered. Throws `LoginRefused`, with one sentence for all that it is not. */
export async function pushedBy(
  needs: Pick<LoginNeeds, 'db' | 'clock'>,
  uri: string,
  clientId: string | undefined,
): Promise<Pushed> {
  const secret = REQUEST_URI.exec(uri)?.[1] ?? ''
  const row = await needs.db
    .selectFrom('pushedRequest')
    .select(['clientId', 'fields', 'keyKind', 'keySha256'])
    .where('requestUriSha256', '=', sha256(secret))
    .where('usedAt', 'is', null)
    .where('expiresAt', '>', needs.clock.now())
    .executeTakeFirst()
  if (row?.clientId !== clientId || !row) throw unknownRequest()
  const fields = new Map(Object.entries(Kept.parse(row.fields)))
  return { clientId: row.clientId, fields, key: { kind: KeyKind.parse(row.keyKind), sha256: row.keySha256 } }
}

/** Spends it on an answer; the row count decides (rule 3). Throws `LoginRefused` where another answer was first. */
export async function spendPushed(db: Db, { clock }: Pick<LoginNeeds, 'clock'>, uri: string): Promise<void> {
  const now = clock.now()
  const { numUpdatedRows } = await db
    .updateTable('pushedRequest')
    .set({ usedAt: now })
    .where('requestUriSha256', '=', sha256(REQUEST_URI.exec(uri)?.[1] ?? ''))
    .where('usedAt', 'is', null)
    .where('expiresAt', '>', now)
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw unknownRequest()
}

export function isPushedUri(uri: string | undefined): uri is string {
  return uri?.startsWith(PREFIX) === true
}

function unknownRequest(): LoginRefused {
  return new LoginRefused(
    'over',
    'What the program asked for is unknown, over, or was answered. Start again in the program.',
  )
}
