import type { FormAnswer, FormAsked, FormDoor } from '../kernel/http/form.ts'
import { spkiSha256 } from '../kernel/key-pair.ts'
import { transact } from '../kernel/db.ts'
import { Secret } from '../kernel/secret.ts'
import { endTokens, tokenRowOf, type ENTITY_TYPES } from '../identities/identities.ts'
import { AccessDetails } from '../identities/contract.ts'
import { answering } from './answering.ts'
import { bindingOf } from './binding.ts'
import { verifyDpop } from './dpop.ts'
import { accessTokensEnded } from './events.ts'
import { isCompact } from './jwt.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { clientOf } from './proven.ts'
import { takeProof } from './used-proofs.ts'

export const INTROSPECTION_PATH = '/oauth2/introspect'
export const REVOCATION_PATH = '/oauth2/revoke'

/** What is to be known of a token, to those who may know (RFC 7662): itself, and enforcement points that were configured. */
export function introspectionDoor(needs: TokenNeeds): FormDoor {
  return {
    path: INTROSPECTION_PATH,
    repeatable: [],
    answer: (asked) =>
      answering(needs, asked, async () => {
        const asker = await askerOf(needs, asked, INTROSPECTION_PATH)
        const row = await rowOf(needs, asked)
        const isKnown = row && (row.identityId === asker.id || needs.enforcementPoints.has(asker.name))
        return { status: 200, body: isKnown ? shown(needs, row) : { active: false } }
      }),
  }
}

/** Ends a token of whoever asks (RFC 7009), with all that was exchanged for it. Of any other token nothing is told. */
export function revocationDoor(needs: TokenNeeds): FormDoor {
  return {
    path: REVOCATION_PATH,
    repeatable: [],
    answer: (asked) =>
      answering(needs, asked, async () => {
        const asker = await askerOf(needs, asked, REVOCATION_PATH)
        const row = await rowOf(needs, asked)
        if (row?.identityId === asker.id) await revoke(needs, asker, row.id)
        return { status: 200 } satisfies FormAnswer
      }),
  }
}

type Asker = { readonly id: string; readonly name: string; readonly kind: keyof typeof ENTITY_TYPES }

/** Who asks: by their own key as at the token endpoint, or by a token of ours as at the API. Throws `OAuthError`. */
async function askerOf(needs: TokenNeeds, asked: FormAsked, path: string): Promise<Asker> {
  if (asked.hasAuthorization) return bearerOf(needs, asked)
  const binding = await bindingOf(needs, asked, path)
  const client = await clientOf(needs, asked)
  if (!client || client.identity.state !== 'active') throw unknownClient()
  for (const proof of [...client.once, ...(binding?.kind === 'dpop' ? [binding.once] : [])]) {
    if (!(await takeProof(needs.db, proof))) throw unknownClient()
  }
  return client.identity
}

async function bearerOf(needs: TokenNeeds, { presented }: FormAsked): Promise<Asker> {
  const { bearer, dpop, keyCertificate } = presented
  if (!bearer) throw unknownClient()
  const token = bearer.reveal()
  const proven =
    dpop && (await verifyDpop(needs.clock, { proof: dpop.proof, method: dpop.method, urls: [dpop.url], token }))
  if (dpop && !proven) throw unknownClient()
  const caller = await needs.authenticate({
    token,
    keySha256: keyCertificate && spkiSha256(keyCertificate),
    dpopKeySha256: proven?.keySha256.toString('hex'),
  })
  if (!caller || caller.narrowedTo) throw unknownClient()
  if (proven && !(await takeProof(needs.db, proven.once))) throw unknownClient()
  return caller
}

function unknownClient(): OAuthError {
  return new OAuthError('invalid_client', 'Prove an identity by your own key, or with a token of this token service.')
}

type Row = NonNullable<Awaited<ReturnType<typeof rowOf>>>

/** The live token that was sent; undefined for whatever is none. */
async function rowOf(needs: TokenNeeds, { fields }: FormAsked) {
  const token = fields.get('token')
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing.')
  if (isCompact(token) && !needs.ring.verify(token)) return undefined
  const row = await tokenRowOf(needs.db, new Secret(token))
  const now = needs.clock.now()
  if (!row || row.revokedAt !== null || row.expiresAt <= now || row.state !== 'active') return undefined
  if (row.identityExpiresAt !== null && row.identityExpiresAt <= now) return undefined
  return row
}

function shown(needs: TokenNeeds, row: Row): Readonly<Record<string, unknown>> {
  const issuer = needs.issuer()
  const seconds = (at: Date) => Math.floor(at.getTime() / 1000)
  const { keySha256, dpopKeySha256, details, onBehalfOfId } = row
  return {
    active: true,
    iss: issuer,
    sub: onBehalfOfId ?? row.identityId,
    client_id: row.name,
    username: row.name,
    aud: row.audience ?? issuer,
    token_type: dpopKeySha256 ? 'DPoP' : 'Bearer',
    iat: seconds(row.createdAt),
    exp: seconds(row.expiresAt),
    jti: row.id,
    ...(onBehalfOfId !== null && { act: { iss: issuer, sub: row.identityId } }),
    ...(details !== null && { authorization_details: AccessDetails.parse(details) }),
    // Of a key shown in TLS the key itself is kept, not the certificate it came in, so there is no `x5t#S256` to tell.
    ...(dpopKeySha256 && { cnf: { jkt: dpopKeySha256.toString('base64url') } }),
    ...(keySha256 && { cnf: { 'urn:reeve:spki#S256': keySha256.toString('base64url') } }),
  }
}

async function revoke(needs: TokenNeeds, asker: Asker, id: string): Promise<void> {
  await transact(needs.db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: accessTokensEnded,
      actor: { id: asker.id, kind: asker.kind },
      action: 'token.revoke',
      resource: { type: 'Token', id },
      outcome: 'done',
      facts: { tokenIds: [id], why: 'revoked' },
    })
    await endTokens(tx, [id], { now: needs.clock.now(), cause })
  })
  needs.ring.flush()
}
