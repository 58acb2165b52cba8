import { z } from 'zod'
import type { Egress } from '../../kernel/egress.ts'
import { Secret } from '../../kernel/secret.ts'
import { askTarget, refusedBy, textAt, type Answer } from '../issued/ask.ts'
import type { Place, TargetLogin } from '../rotation/rotator.ts'
import { LeaseFailure, TargetDown } from '../writer.ts'
import { KeycloakSettings } from './settings.ts'

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json'

const Found = z.array(
  z.object({
    id: z.string().regex(/^[A-Za-z0-9-]{1,100}$/),
    clientId: z.string(),
    attributes: z.record(z.string(), z.string().nullable()).default({}),
  }),
)
type Client = z.output<typeof Found>[number]

/** The administration of one realm, as one of its clients. */
export type Realm = {
  /** The client of exactly this name. */
  find(clientId: string): Promise<Client>
  /** Its secret of now, and the one before where that is let in still. */
  secretsOf(client: Client): Promise<{ readonly now: Secret; readonly before: Secret | undefined }>
  /** What is not named stays as it is; an attribute that is empty goes. */
  change(
    client: Client,
    to: { readonly secret?: Secret; readonly attributes?: Readonly<Record<string, string>> },
  ): Promise<void>
  /** Keycloak makes another one; where its policy says so the one of now becomes the one before. */
  regenerate(client: Client): Promise<void>
  forgetBefore(client: Client): Promise<void>
}

/** Enters by the client credentials of a client with `manage-clients`; by what its secret may be since, where it is rotated at this moment. */
export async function enterRealm(
  egress: Egress,
  place: Place,
  actor: TargetLogin,
  signal: AbortSignal,
): Promise<Realm> {
  const settings = KeycloakSettings.parse(place.settings)
  const token = await tokenByAny(egress, settings, actor, signal)
  const ask = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) =>
    askTarget(
      egress,
      {
        method,
        url: `${baseOf(settings)}/admin/realms/${settings.realm}/${path}`,
        headers: {
          authorization: `Bearer ${token.reveal()}`,
          ...(body !== undefined && { 'content-type': JSON_TYPE }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ca: settings.ca,
      },
      signal,
    )
  return realmOf(ask)
}

type Ask = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => Promise<Answer>

function realmOf(ask: Ask): Realm {
  const of = ({ id }: Client, more = '') => `clients/${id}${more}`
  return {
    async find(clientId) {
      const answer = mustBe('finding the client', await ask('GET', `clients?clientId=${encodeURIComponent(clientId)}`))
      const found = Found.safeParse(parsed(answer.text))
      if (!found.success) throw new LeaseFailure('what Keycloak told of the client cannot be read')
      const client = found.data.find((each) => each.clientId === clientId)
      if (!client) throw new LeaseFailure('there is no such client')
      return client
    },
    async secretsOf(client) {
      const now = mustBe('reading its secret', await ask('GET', of(client, '/client-secret')))
      const value = textAt(now.json, 'value')
      if (value === undefined) throw new LeaseFailure('the client has no secret: it proves itself by something else')
      const before = await ask('GET', of(client, '/client-secret/rotated'))
      const rotated = before.status === 404 ? undefined : textAt(mustBe('reading the one before', before).json, 'value')
      return { now: new Secret(value), before: rotated === undefined ? undefined : new Secret(rotated) }
    },
    async change(client, { secret, attributes }) {
      const body = {
        clientId: client.clientId,
        ...(secret && { secret: secret.reveal() }),
        ...(attributes && { attributes }),
      }
      mustBe('changing the client', await ask('PUT', of(client), body))
    },
    async regenerate(client) {
      mustBe('making another secret', await ask('POST', of(client, '/client-secret')))
    },
    async forgetBefore(client) {
      const answer = await ask('DELETE', of(client, '/client-secret/rotated'))
      if (answer.status !== 404) mustBe('ending the one before', answer)
    },
  }
}

async function tokenByAny(egress: Egress, settings: KeycloakSettings, who: TargetLogin, signal: AbortSignal) {
  const first = await tokenFor(egress, settings, who, signal)
  if (first instanceof Secret) return first
  for (const secret of (await who.others?.()) ?? []) {
    const again = await tokenFor(egress, settings, { user: who.user, secret }, signal)
    if (again instanceof Secret) return again
  }
  throw new EntryRefused(`Keycloak gives ${who.user} no token (${first})`)
}

/** A client that gets no token: another one may. */
export class EntryRefused extends LeaseFailure {
  override readonly name = 'EntryRefused'
}

async function tokenFor(
  egress: Egress,
  settings: KeycloakSettings,
  { user, secret }: TargetLogin,
  signal: AbortSignal,
): Promise<Secret | number> {
  const form = { grant_type: 'client_credentials', client_id: user, client_secret: secret.reveal() }
  const answer = await askForm(egress, settings, { path: 'token', form }, signal)
  const token = textAt(answer.json, 'access_token')
  if (answer.status === 200 && token !== undefined) return new Secret(token)
  if (answer.status === 400 || answer.status === 401) return answer.status
  throw refusedBy('asking for a token', answer)
}

/** One of the endpoints at which clients prove themselves by their secret. */
export function askForm(
  egress: Egress,
  settings: KeycloakSettings,
  { path, form }: { readonly path: string; readonly form: Readonly<Record<string, string>> },
  signal: AbortSignal,
): Promise<Answer> {
  const url = `${baseOf(settings)}/realms/${settings.realm}/protocol/openid-connect/${path}`
  const body = new URLSearchParams(form).toString()
  return askTarget(egress, { method: 'POST', url, headers: { 'content-type': FORM }, body, ca: settings.ca }, signal)
}

function baseOf({ server }: KeycloakSettings): string {
  return server.replace(/\/+$/, '')
}

/** Our own token is good, so 401 is not about it being old: the client was changed meanwhile. */
function mustBe(what: string, answer: Answer): Answer {
  if (answer.status === 200 || answer.status === 201 || answer.status === 204) return answer
  if (answer.status === 403) throw new EntryRefused(`the provisioner lacks manage-clients (${what}: 403)`)
  const failure = refusedBy(what, answer)
  throw failure instanceof TargetDown ? failure : new LeaseFailure(failure.message)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
