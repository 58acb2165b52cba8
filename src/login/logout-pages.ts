import { z } from 'zod'
import { secondsAfter } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import { transact } from '../kernel/db.ts'
import type { PageAnswer, PageAsked, PageDoor } from '../kernel/http/pages.ts'
import { Secret } from '../kernel/secret.ts'
import { END_SESSION_PATH, type PublicClient } from '../tokens/tokens.ts'
import { STATE_MAX_CHARS, type Fields } from './asking.ts'
import { goTo, mustBeOurForm, pageDoor, personDoor } from './browser.ts'
import type { LoginNeeds } from './needs.ts'
import { html, page, type Html } from './page.ts'
import { LoginRefused } from './refused.ts'
import { browserSession, forgetCookie, formToken, isFormToken, type BrowserSession } from './sessions/cookie.ts'
import { endLoginSessions } from './sessions/end.ts'
import { idTokenPlace } from './sessions/open.ts'

/** Where a provider sends a browser back to that logged out there. It ends nothing by itself. */
const OUT_PATH = '/login/out'
/** How long a logout at the provider may take before its way back to a client is forgotten. */
const WAY_BACK_SECONDS = 600

/** Where people log out: here, at the provider that they logged in at, and for a client that asks for it (OpenID Connect RP-Initiated Logout). */
export function logoutPages(needs: LoginNeeds): readonly PageDoor[] {
  return [
    personDoor(needs, { method: 'POST', path: OUT_PATH }, async (asked, browser) => {
      mustBeOurForm(isFormToken(browser, 'out', asked.fields.get('form')))
      return logout(needs, browser, { isHereOnly: asked.fields.get('answer') === 'here', back: undefined })
    }),
    pageDoor(needs, { method: 'GET', path: OUT_PATH, isEntered: true }, async (asked) => returned(needs, asked)),
    pageDoor(needs, { method: 'GET', path: END_SESSION_PATH, isEntered: true }, (asked) => asks(needs, asked)),
    personDoor(needs, { method: 'POST', path: END_SESSION_PATH }, (asked, browser) => confirmed(needs, asked, browser)),
  ]
}

/** A button for who wants to stay logged in at the provider. */
export function hereOnly(needs: LoginNeeds, { session }: BrowserSession): Html | undefined {
  const provider = needs.providers.find(({ name }) => name === session.provider)
  return provider?.isLeft === true
    ? html`<button name="answer" value="here">Log out here, not at ${provider.title}</button>`
    : undefined
}

/** What a client wants done when its person has logged out. */
type Asking = {
  readonly client: PublicClient | undefined
  readonly back: WayBack | undefined
  /** What the form carries to say the same again. */
  readonly carried: readonly (readonly [string, string])[]
}

type WayBack = { readonly clientId: string; readonly uri: string; readonly state: string | undefined }

const NAMES = ['client_id', 'post_logout_redirect_uri', 'state'] as const

/** §2, §3: nothing leads anywhere but to an address that this client registered, to the letter. Throws `LoginRefused`. */
function readAsking({ publicClients }: LoginNeeds, fields: Fields): Asking {
  const [clientId, uri, state] = NAMES.map((name) => fields.get(name))
  // §2: a hint has to be an ID token of ours, and there are none.
  if (fields.has('id_token_hint')) throw unregistered('The program showed an ID token, and none are made here.')
  const client = clientId === undefined ? undefined : publicClients.find(({ id }) => id === clientId)
  if (clientId !== undefined && !client) throw unregistered('The program that sent you here is not registered.')
  if (uri !== undefined && client?.postLogoutRedirectUris.includes(uri) !== true) {
    throw unregistered('The program that sent you here is not registered with the address it wants you back at.')
  }
  if ((state ?? '').length > STATE_MAX_CHARS) throw unregistered('The program sent more than can be kept for it.')
  const carried = NAMES.flatMap((name): [string, string][] => {
    const value = fields.get(name)
    return value === undefined ? [] : [[name, value]]
  })
  return { client, back: client && uri !== undefined ? { clientId: client.id, uri, state } : undefined, carried }
}

function unregistered(why: string): LoginRefused {
  return new LoginRefused('forged', `${why} Nothing was sent to it, and you are as logged in as before.`)
}

/** §6: a link of anybody leads here, so a person says whether they want it. */
async function asks(needs: LoginNeeds, asked: PageAsked): Promise<PageAnswer> {
  const { client, back, carried } = readAsking(needs, asked.fields)
  const browser = await browserSession(needs, asked.cookies)
  if (!browser) return back ? goTo(addressOf(back)) : loggedOut(undefined)
  const hidden = carried.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)
  const who = client ? html`<p>${client.title} asks whether you want to log out of Reeve as well.</p>` : undefined
  const body = html`${who}
    <p>This ends your login here, with all that was given for it.</p>
    <form method="post" action="${END_SESSION_PATH}">
      ${hidden}<input type="hidden" name="form" value="${formToken(browser, purposeOf(carried))}" />
      <button name="answer" value="no">Stay logged in</button> <button name="answer" value="yes">Log out</button>
    </form>`
  const given = browser.setCookie === undefined ? [] : [browser.setCookie]
  return { ...page('Log out?', body), cookies: given }
}

async function confirmed(needs: LoginNeeds, { fields }: PageAsked, browser: BrowserSession): Promise<PageAnswer> {
  const { back, carried } = readAsking(needs, fields)
  mustBeOurForm(isFormToken(browser, purposeOf(carried), fields.get('form')))
  if (fields.get('answer') !== 'yes') return goTo('/login')
  return logout(needs, browser, { isHereOnly: false, back })
}

function purposeOf(carried: Asking['carried']): string {
  return `end-session ${sha256(JSON.stringify(carried)).toString('base64url')}`
}

/** Ends the login here, whatever its provider does; then the browser goes there, and from there to the client. */
async function logout(
  needs: LoginNeeds,
  { session }: BrowserSession,
  { isHereOnly, back }: { readonly isHereOnly: boolean; readonly back: WayBack | undefined },
): Promise<PageAnswer> {
  const actor = { id: session.identityId, kind: 'human' } as const
  const idToken = await transact(needs.db, async (tx) => {
    const row = await tx
      .selectFrom('loginSession')
      .select('sealedIdToken')
      .where('id', '=', session.id)
      .executeTakeFirst()
    await endLoginSessions(tx, needs, { ids: [session.id] }, { why: 'logged-out', actor })
    return row?.sealedIdToken ?? undefined
  })
  const provider = isHereOnly ? undefined : needs.providers.find(({ name }) => name === session.provider)
  const hint = idToken && new Secret(needs.seal.open(idToken, idTokenPlace(session.id)).reveal().toString('utf8'))
  const there = await provider?.leave(hint, `${needs.issuer()}${OUT_PATH}`, back ? sealedWay(needs, back) : 'done')
  const to = there ?? (back && new URL(addressOf(back)))
  return { ...loggedOut(to), cookies: [forgetCookie()] }
}

/** A page that goes on by itself: what a form leads to may lead further (CSP form-action), what a page leads to need not be known beforehand. */
function loggedOut(to: URL | undefined): PageAnswer {
  const on = to && html`<p><a class="act" href="${to.href}">Go on at ${to.host}</a></p>`
  const made = page(
    'You are logged out',
    html`<p>This login and all that was given for it has ended.</p>
      ${on}`,
  )
  return to ? { ...made, headers: { ...made.headers, refresh: `0;url=${to.href}` } } : made
}

function addressOf({ uri, state }: WayBack): string {
  const to = new URL(uri)
  if (state !== undefined) to.searchParams.set('state', state)
  return to.href
}

const PLACE = 'the way back of a logout'
const Sealed = z.object({ clientId: z.string(), uri: z.string(), state: z.string().optional(), until: z.number() })

/** The way back to a client, through a provider that hands it on: nobody else can make one, or read it. */
function sealedWay({ seal, clock }: LoginNeeds, back: WayBack): string {
  const until = secondsAfter(clock.now(), WAY_BACK_SECONDS).getTime()
  return seal.seal(new Secret(JSON.stringify({ ...back, until })), PLACE).toString('base64url')
}

/** Back from the provider. Whatever was sealed is held against what is registered once more. */
function returned(needs: LoginNeeds, { fields }: PageAsked): PageAnswer {
  const back = wayIn(needs, fields.get('state'))
  const client = needs.publicClients.find(({ id }) => id === back?.clientId)
  if (!back || client?.postLogoutRedirectUris.includes(back.uri) !== true) return loggedOut(undefined)
  return goTo(addressOf(back))
}

function wayIn({ seal, clock }: LoginNeeds, state: string | undefined): WayBack | undefined {
  if (state === undefined || !/^[\w-]{40,6000}$/.test(state)) return undefined
  try {
    const text = seal.open(Buffer.from(state, 'base64url'), PLACE).reveal().toString('utf8')
    const { until, clientId, uri, state: kept } = Sealed.parse(JSON.parse(text))
    return until > clock.now().getTime() ? { clientId, uri, state: kept } : undefined
  } catch {
    return undefined
  }
}
