import { endTokens } from '../identities/identities.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { equalBytes, sha256 } from '../kernel/crypto.ts'
import { transact, type Tx } from '../kernel/db.ts'
import type { FormAsked } from '../kernel/http/form.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import type { Binding } from './binding.ts'
import type { Redeemable } from './device.ts'
import { accessTokensEnded } from './events.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { sessionFor } from './public-client.ts'

const CODE_BYTES = 32
/** A browser carries it from one address to the next. */
const TTL_SECONDS = 60
/** Remembered longer than it is good, so that a second showing is known as one. */
const KEPT_SECONDS = 86_400
/** RFC 7636 §4.1. */
const VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/
/** RFC 7636 §4.2, of S256: 32 bytes. */
export const CHALLENGE = /^[A-Za-z0-9_-]{43}$/

export type CodeKey = { readonly kind: Binding['kind']; readonly sha256: Buffer }

export type CodeFor = {
  readonly clientId: string
  readonly redirectUri: string
  readonly challenge: string
  /** The key that alone may redeem it, where the client said so beforehand (RFC 9449 §10, RFC 9126 §2). */
  readonly key: CodeKey | undefined
  readonly loginSessionId: string
}

/** A code for a client, by which a browser carries a login to it (RFC 6749 §4.1.2). It holds nothing and is kept as its hash. */
export async function makeCode(tx: Tx, needs: Pick<TokenNeeds, 'clock' | 'random'>, code: CodeFor): Promise<string> {
  const now = needs.clock.now()
  await tx.deleteFrom('authorizationCode').where('expiresAt', '<', secondsAfter(now, -KEPT_SECONDS)).execute()
  const text = needs.random.bytes(CODE_BYTES).toString('base64url')
  await tx
    .insertInto('authorizationCode')
    .values({
      codeSha256: sha256(text),
      clientId: code.clientId,
      redirectUri: code.redirectUri,
      codeChallenge: code.challenge,
      keyKind: code.key?.kind ?? null,
      keySha256: code.key?.sha256 ?? null,
      loginSessionId: code.loginSessionId,
      createdAt: now,
      expiresAt: secondsAfter(now, TTL_SECONDS),
      usedAt: null,
      tokenId: null,
    })
    .execute()
  return text
}

type Shown = { readonly clientId: string; readonly binding: Binding }

/**
 * What a code is good for at the token endpoint. It is spent by being shown, rightly or not; shown again, what it became ends, since one of
 * the two who had it should not have (RFC 9700 §4.5). Throws `OAuthError`.
 */
export async function redeemCode(needs: TokenNeeds, asked: FormAsked, shown: Shown): Promise<Redeemable> {
  const code = asked.fields.get('code')
  if (code === undefined) throw new OAuthError('invalid_request', 'code is missing.')
  const codeSha256 = sha256(code)
  const row = await taken(needs, codeSha256)
  if (!row || !isFor(asked, shown, row)) throw unknownCode()
  const now = needs.clock.now()
  const session = row.expiresAt > now ? await sessionFor(needs.db, row.loginSessionId, now) : undefined
  if (!session) throw unknownCode()
  return {
    session,
    async claim(tx, tokenId) {
      const claimed = await tx
        .updateTable('authorizationCode')
        .set({ tokenId })
        .where('codeSha256', '=', codeSha256)
        .where('tokenId', 'is', null)
        .executeTakeFirst()
      if (claimed.numUpdatedRows !== 1n) throw unknownCode()
    },
  }
}

type Row = {
  readonly clientId: string
  readonly redirectUri: string
  readonly codeChallenge: string
  readonly keyKind: string | null
  readonly keySha256: Buffer | null
}

function isFor(asked: FormAsked, { clientId, binding }: Shown, row: Row): boolean {
  const { fields } = asked
  const verifier = fields.get('code_verifier') ?? ''
  const challenge = sha256(verifier).toString('base64url')
  return (
    row.clientId === clientId &&
    row.redirectUri === fields.get('redirect_uri') &&
    VERIFIER.test(verifier) &&
    equalBytes(Buffer.from(challenge), Buffer.from(row.codeChallenge)) &&
    (row.keySha256 === null || (row.keyKind === binding.kind && equalBytes(row.keySha256, binding.keySha256)))
  )
}

async function taken(needs: TokenNeeds, codeSha256: Buffer) {
  return transact(needs.db, async (tx) => {
    const row = await tx
      .selectFrom('authorizationCode')
      .selectAll()
      .where('codeSha256', '=', codeSha256)
      .forUpdate()
      .executeTakeFirst()
    if (!row) return undefined
    const now = needs.clock.now()
    if (row.usedAt !== null) {
      if (row.tokenId !== null) await endReplayed(tx, needs, row.tokenId, now)
      return undefined
    }
    await tx.updateTable('authorizationCode').set({ usedAt: now }).where('codeSha256', '=', codeSha256).execute()
    return row
  })
}

async function endReplayed(tx: Tx, needs: TokenNeeds, tokenId: string, now: Date): Promise<void> {
  const cause = await needs.ledger.record(tx, {
    event: accessTokensEnded,
    actor: SYSTEM,
    resource: { type: 'Token', id: tokenId },
    outcome: 'done',
    facts: { tokenIds: [tokenId], why: 'code-replayed' },
  })
  await endTokens(tx, [tokenId], { now, cause })
}

function unknownCode(): OAuthError {
  return new OAuthError('invalid_grant', 'The code is unknown, used, over, or was not made for this client.')
}
