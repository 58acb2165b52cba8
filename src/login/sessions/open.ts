import type { Identity } from '../../identities/contract.ts'
import { loadIdentity } from '../../identities/identities.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import { newId } from '../../kernel/random.ts'
import { loginSessionOpened } from '../events.ts'
import type { SessionNeeds } from '../needs.ts'
import type { LoginSession } from '../schemas.ts'
import { LoginRefused } from '../refused.ts'

/** How somebody has just proven who they are. */
export type Authenticated = {
  readonly identityId: string
  readonly method: LoginSession['method']
  /** Of a login at a provider: who said it, of whom, and what it calls its own session. */
  readonly by: {
    readonly provider: string
    readonly issuer: string
    readonly subject: string
    readonly session: string | null
    /** What a logout there is asked for with, sealed for the login of this id; of a program's login none. */
    readonly sealedIdToken?: (sessionId: string) => Buffer
  } | null
  readonly acr: string | null
  readonly amr: readonly string[]
  readonly authenticatedAt: Date
}

/** What is known of the program that will use it. */
export type ClientSeen = { readonly address: string; readonly agent: string }

export const SESSION_COLUMNS = [
  'id',
  'identityId',
  'channel',
  'method',
  'provider',
  'acr',
  'amr',
  'authenticatedAt',
  'clientAddress',
  'clientAgent',
  'parentId',
  'createdAt',
  'expiresAt',
  'endedAt',
  'endReason',
] as const

/**
 * Opens a login of a person who may act now. The session of a program (`parent`) stands on the same proof as the browser's and outlives
 * neither its bound nor a logout at the provider. Throws `LoginRefused`.
 */
export async function openLoginSession(
  tx: Tx,
  needs: SessionNeeds,
  authenticated: Authenticated,
  made: { readonly channel: LoginSession['channel']; readonly client: ClientSeen; readonly parentId?: string },
): Promise<LoginSession> {
  const person = await usablePerson(tx, needs, authenticated.identityId)
  const { method, by, acr, amr, authenticatedAt } = authenticated
  const { channel, client, parentId = null } = made
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const expiresAt = endOf(person, secondsAfter(now, needs.sessionSeconds))
  const told = { channel, method, acr, amr: [...amr], authenticatedAt, parentId, expiresAt }
  const seen = { clientAddress: client.address.slice(0, 100), clientAgent: printable(client.agent) }
  const provider = by?.provider ?? null
  const cause = await needs.ledger.record(tx, {
    event: loginSessionOpened,
    actor: { id: person.id, kind: person.kind },
    action: 'login-session.open',
    resource: { type: 'LoginSession', id },
    outcome: 'done',
    facts: { sessionId: id, ...told, ...seen, provider },
  })
  const row = await tx
    .insertInto('loginSession')
    .values({
      id,
      identityId: person.id,
      ...told,
      ...seen,
      provider,
      issuer: by?.issuer ?? null,
      subject: by?.subject ?? null,
      providerSession: by?.session ?? null,
      sealedIdToken: by?.sealedIdToken?.(id) ?? null,
      createdAt: now,
      idleSeconds: needs.idleSeconds,
      cause,
    })
    .returning(SESSION_COLUMNS)
    .executeTakeFirstOrThrow()
  await tx.insertInto('loginActivity').values({ sessionId: id, seenAt: now }).execute()
  return row
}

/** Where the ID token of a login is sealed for. */
export function idTokenPlace(sessionId: string): string {
  return `login_session.sealed_id_token:${sessionId}`
}

async function usablePerson(tx: Tx, needs: SessionNeeds, id: string): Promise<Identity> {
  const person = await loadIdentity(tx, id)
  const isOver = person?.expiresAt != null && person.expiresAt <= needs.clock.now()
  if (!person || person.kind !== 'human' || person.state !== 'active' || isOver) {
    throw new LoginRefused('nobody', 'This person may not act now.')
  }
  return person
}

function endOf({ expiresAt }: Identity, wanted: Date): Date {
  return expiresAt !== null && expiresAt < wanted ? expiresAt : wanted
}

/** What a program says of itself is shown to people: on one line, and no longer than one. */
function printable(agent: string): string {
  return agent.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200)
}
