import type { Egress } from '../../kernel/egress.ts'
import type { Random } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { refusedBy } from '../issued/ask.ts'
import { byTheFirst } from '../rotation/actors.ts'
import {
  RecordBehind,
  type Act,
  type LoginRotator,
  type Place,
  type TargetLogin,
  type Tried,
} from '../rotation/rotator.ts'
import { LeaseFailure, NotWanted } from '../writer.ts'
import { askForm, enterRealm, EntryRefused, type Realm } from './api.ts'
import { KeycloakSettings } from './settings.ts'

const SECRET_BYTES = 32
/** Where the last rotation of a client is noted. */
const MARK = 'reeve.rotation'
/** Keycloak writes it where its policy for rotating secrets holds, at each change of the client. */
const EXPIRES = 'client.secret.expiration.time'

type Client = Awaited<ReturnType<Realm['find']>>
type At = { readonly realm: Realm; readonly client: Client; readonly mustBeWanted: () => Promise<void> }

/**
 * Secrets of confidential clients of a realm. With its policy for rotating secrets (feature `client-secret-rotation`, executor `secret-rotation`) Keycloak knows two:
 * when it makes another one, the one of now stays as the one before. The one that it made is replaced at once by Reeve's, which was sealed before, so
 * a process that is killed loses none. Keycloak has no lock: each change is looked at again right before it is made.
 */
export function keycloakSecretRotator({ egress }: { readonly egress: Egress }): LoginRotator {
  const on = (
    place: Place,
    act: Act & { readonly mark?: string },
    signal: AbortSignal,
    doing: (at: At) => Promise<void>,
  ) =>
    byTheFirst(
      act.actors,
      (error) => error instanceof EntryRefused,
      async (actor) => {
        const realm = await enterRealm(egress, place, actor, signal)
        const client = await realm.find(act.user)
        mustBeLatest(client, act.mark)
        const mustBeWanted = async () => {
          if (!(await act.isWanted())) throw new NotWanted('the rotation went on elsewhere')
        }
        await mustBeWanted()
        await doing({ realm, client, mustBeWanted })
      },
    )
  return {
    protocol: 'keycloak',
    make: (random: Random) => new Secret(random.bytes(SECRET_BYTES).toString('base64url')),
    change: (place, { secret, ...act }, signal) =>
      on(place, act, signal, ({ realm, client }) => realm.change(client, { secret, ...marked(act.mark) })),
    tryLogin: (place, who, signal) => tryLogin(egress, place, who, signal),
    // Tokens that were given live as long as they say.
    endSessions: async () => undefined,
    retains: {
      add: (place, act, signal) => on(place, act, signal, (at) => add(at, act)),
      discard: (place, act, signal) =>
        on(place, act, signal, async ({ realm, client }) => {
          await realm.change(client, marked(act.mark))
          await realm.forgetBefore(client)
        }),
      restore: (place, act, signal) =>
        on(place, act, signal, async ({ realm, client }) => {
          await realm.change(client, { secret: act.old, ...marked(act.mark) })
          await realm.forgetBefore(client)
        }),
    },
  }
}

type Adding = { readonly user: string; readonly old: Secret; readonly secret: Secret; readonly mark: string }

async function add({ realm, client, mustBeWanted }: At, { user, old, secret, mark }: Adding): Promise<void> {
  const { now, before } = await realm.secretsOf(client)
  if (now.reveal() === secret.reveal()) return
  const isOldNow = now.reveal() === old.reveal()
  // Half done: it made another one, and the process died before Reeve's took its place.
  const isHalf = !isOldNow && before?.reveal() === old.reveal()
  if (!isOldNow && !isHalf) throw new LeaseFailure(`somebody gave ${user} another secret at Keycloak: give it to Reeve`)
  if (isOldNow && before) {
    throw new LeaseFailure(
      `${user} has a secret from before that is not of Reeve: end it at Keycloak, or wait for its end`,
    )
  }
  if (isOldNow) {
    await mustRetain(realm, user, mark)
    await mustBeWanted()
    await realm.regenerate(client)
    const since = await realm.secretsOf(client)
    if (since.before?.reveal() !== old.reveal()) {
      // Nobody was told of another one, so the old one takes its place again.
      await realm.change(client, { secret: old })
      throw new LeaseFailure(`Keycloak did not keep the secret before of ${user}`)
    }
  }
  await mustBeWanted()
  await realm.change(client, { secret, ...marked(mark) })
}

/** Without the policy the old one would be refused from that moment on. It is written anew by any change while the policy holds, so it is taken away first. */
async function mustRetain(realm: Realm, user: string, mark: string): Promise<void> {
  const client = await realm.find(user)
  await realm.change(client, { attributes: { [EXPIRES]: '', [MARK]: mark } })
  const { attributes } = await realm.find(user)
  if (!attributes[EXPIRES]) {
    throw new LeaseFailure(
      `no policy of the realm rotates the secret of ${user}: switch on client-secret-rotation, with a client policy that has secret-rotation`,
    )
  }
}

function marked(mark: string | undefined): { readonly attributes?: Readonly<Record<string, string>> } {
  return mark === undefined ? {} : { attributes: { [MARK]: mark } }
}

/** Throws `RecordBehind` where a later rotation than this one has been: ids sort by birth. */
function mustBeLatest({ attributes }: Client, mark: string | undefined): void {
  const last = attributes[MARK]
  if (mark === undefined || !last || last <= mark) return
  throw new RecordBehind('the target knows a later rotation than this one: this record is older than what lives there')
}

/** Asks what a token is that is none: Keycloak looks at the client first (RFC 7662 §2.1), and nothing comes of it. */
async function tryLogin(egress: Egress, place: Place, who: TargetLogin, signal: AbortSignal): Promise<Tried> {
  const settings = KeycloakSettings.parse(place.settings)
  const form = { token: 'none', client_id: who.user, client_secret: who.secret.reveal() }
  const answer = await askForm(egress, settings, { path: 'token/introspect', form }, signal)
  if (answer.status === 200) return { isAccepted: true }
  if (answer.status === 401) return { isAccepted: false, code: '401', why: 'secret' }
  throw refusedBy('trying the secret', answer)
}
