import { loadIdentity } from '../identities/identities.ts'
import type { Identity } from '../identities/contract.ts'
import type { Db } from '../kernel/db.ts'
import type { FormAsked } from '../kernel/http/form.ts'
import { bindingOf, type Binding } from './binding.ts'
import type { PublicClient, TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'

/** The command line, which has no address to be sent back to. */
export const COMMAND_LINE: PublicClient = {
  id: 'reeve-cli',
  title: 'the reeve command line',
  redirectUris: [],
  postLogoutRedirectUris: [],
}

/** Who asks, by its name alone, and the key that whatever it gets will be bound to. Throws `OAuthError`. */
export async function publicClientOf(
  needs: TokenNeeds,
  asked: FormAsked,
  path: string,
): Promise<{ readonly client: PublicClient; readonly binding: Binding }> {
  const { fields } = asked
  if (asked.hasAuthorization || fields.has('client_secret') || fields.has('client_assertion')) {
    throw new OAuthError('invalid_client', 'A public client has no secret: send its client_id alone.')
  }
  const id = fields.get('client_id')
  const client = needs.publicClients.find((each) => each.id === id)
  if (!client) throw new OAuthError('invalid_client', 'This client is not registered here.')
  const binding = await bindingOf(needs, asked, path)
  if (!binding) {
    throw new OAuthError(
      'invalid_request',
      'Tokens of people are bound to a key: send a DPoP proof, or come with a TLS certificate.',
    )
  }
  return { client, binding }
}

/** A login of a person, as tokens are given for it. */
export type TokenSession = {
  readonly id: string
  readonly identity: Identity
  readonly proof: 'oidc' | 'passkey'
  readonly authenticatedAt: Date
  readonly acr: string | null
  readonly amr: readonly string[]
  readonly expiresAt: Date
  /** Whether its token lasts as long as itself: a program at a person's side, whose token has a row that ends at once. */
  readonly isWhole: boolean
}

/** The open login behind a code. Undefined for one that ended. */
export async function sessionFor(db: Db, id: string, now: Date): Promise<TokenSession | undefined> {
  const row = await db
    .selectFrom('loginSession')
    .select(['id', 'identityId', 'channel', 'method', 'authenticatedAt', 'acr', 'amr', 'expiresAt'])
    .where('id', '=', id)
    .where('endedAt', 'is', null)
    .where('expiresAt', '>', now)
    .executeTakeFirst()
  const identity = row && (await loadIdentity(db, row.identityId))
  if (!row || !identity) return undefined
  const { authenticatedAt, acr, amr, expiresAt } = row
  const told = { authenticatedAt, acr, amr, expiresAt }
  return { id, identity, proof: row.method, ...told, isWhole: row.channel === 'cli' }
}
