import { sha256 } from '../kernel/crypto.ts'
import { transact } from '../kernel/db.ts'
import type { PageAnswer, PageAsked, PageDoor } from '../kernel/http/pages.ts'
import { AUTHORIZATION_PATH, makeCode, type CodeKey, type PublicClient } from '../tokens/tokens.ts'
import { clientAt, faultOf, keyNamed, NAMES, type Fields } from './asking.ts'
import { goTo, loginAt, mustBeOurForm, pageDoor, personDoor } from './browser.ts'
import type { LoginNeeds } from './needs.ts'
import { html, page } from './page.ts'
import { isPushedUri, pushedBy, spendPushed } from './pushed.ts'
import { LoginRefused } from './refused.ts'
import { browserSession, formToken, isFormToken, type BrowserSession } from './sessions/cookie.ts'

/** Where a registered client sends a browser for a code (RFC 6749 §4.1.1, RFC 7636), and where a person lets a program of this machine in. */
export function authorizationDoors(needs: LoginNeeds): readonly PageDoor[] {
  return [
    pageDoor(needs, { method: 'GET', path: AUTHORIZATION_PATH, isEntered: true }, async (asked) => {
      const browser = await browserSession(needs, asked.cookies)
      const answered = await authorize(needs, asked, browser)
      const given = browser?.setCookie === undefined ? [] : [browser.setCookie]
      return { ...answered, cookies: given }
    }),
    personDoor(needs, { method: 'POST', path: AUTHORIZATION_PATH }, (asked, browser) =>
      confirmed(needs, asked, browser),
    ),
  ]
}

type Asking = {
  readonly client: PublicClient
  readonly redirectUri: string
  /** What is asked for, by the browser or pushed before. */
  readonly fields: Fields
  /** What a form of ours carries to say the same again. */
  readonly carried: readonly (readonly [string, string])[]
  readonly pushed: string | undefined
  readonly key: CodeKey | undefined
}

async function authorize(
  needs: LoginNeeds,
  asked: PageAsked,
  browser: BrowserSession | undefined,
): Promise<PageAnswer> {
  const read = await readAsking(needs, asked.fields)
  if ('refusal' in read) return read.refusal
  const { asking } = read
  if (!browser) {
    if (asking.fields.get('prompt') === 'none') return errorTo(needs, asking, 'login_required', 'Nobody is logged in.')
    return goTo(loginAt(asked.url))
  }
  // RFC 8252 §8.6: anybody can listen on this machine and call themselves that client, so its person says so.
  if (isOwnMachine(asking.redirectUri)) {
    if (asking.fields.get('prompt') === 'none') {
      return errorTo(needs, asking, 'interaction_required', 'The person has to let it in.')
    }
    return confirmPage(asking, browser)
  }
  return codeTo(needs, asking, browser)
}

async function confirmed(needs: LoginNeeds, asked: PageAsked, browser: BrowserSession): Promise<PageAnswer> {
  const read = await readAsking(needs, asked.fields)
  if ('refusal' in read) return read.refusal
  const { asking } = read
  mustBeOurForm(isFormToken(browser, purposeOf(asking), asked.fields.get('form')))
  if (asked.fields.get('answer') !== 'yes') return errorTo(needs, asking, 'access_denied', 'The person said no.')
  return codeTo(needs, asking, browser)
}

/**
 * Who asks for what. Before the client and its address are known to belong together nothing is sent to that address; what is wrong is said to
 * the person (RFC 6749 §4.1.2.1). Of what was pushed nothing is taken from the browser but its name (RFC 9126 §4).
 */
async function readAsking(
  needs: LoginNeeds,
  asked: Fields,
): Promise<{ readonly asking: Asking } | { readonly refusal: PageAnswer }> {
  const uri = asked.get('request_uri')
  const pushed = isPushedUri(uri) ? await pushedBy(needs, uri, asked.get('client_id')) : undefined
  const fields = pushed?.fields ?? asked
  const known = clientAt(needs, fields)
  if (!known) {
    throw new LoginRefused(
      'forged',
      'The program that sent you here is not registered with this address. Nothing was sent to it.',
    )
  }
  const carried = (pushed ? ['client_id', 'request_uri'] : NAMES).flatMap((name): [string, string][] => {
    const value = asked.get(name)
    return value === undefined ? [] : [[name, value]]
  })
  const asking = { ...known, fields, carried, pushed: pushed && uri, key: pushed?.key ?? keyNamed(fields) }
  const fault =
    !pushed && needs.mustPush
      ? { error: 'invalid_request', why: 'What is asked for has to be pushed (RFC 9126).' }
      : faultOf(fields)
  return fault ? { refusal: await errorTo(needs, asking, fault.error, fault.why) } : { asking }
}

function isOwnMachine(redirectUri: string): boolean {
  return !redirectUri.startsWith('https:')
}

function confirmPage(asking: Asking, browser: BrowserSession): PageAnswer {
  const { client, redirectUri, carried } = asking
  const hidden = carried.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)
  const { protocol, host } = new URL(redirectUri)
  return page(
    `Let ${client.title} in?`,
    html`<p>A program on this machine (${redirectUri}) wants to act as you. Go on only if you started it just now.</p>
      <form method="post" action="${AUTHORIZATION_PATH}">
        ${hidden}<input type="hidden" name="form" value="${formToken(browser, purposeOf(asking))}" />
        <button name="answer" value="no">No</button><button name="answer" value="yes">Let it in</button>
      </form>`,
    { formTo: protocol === 'http:' ? `http://${host}` : protocol },
  )
}

function purposeOf({ carried }: Pick<Asking, 'carried'>): string {
  return `authorize ${sha256(JSON.stringify(carried)).toString('base64url')}`
}

async function codeTo(needs: LoginNeeds, asking: Asking, { session }: BrowserSession): Promise<PageAnswer> {
  const { client, redirectUri, fields, key, pushed } = asking
  const code = await transact(needs.db, async (tx) => {
    if (pushed !== undefined) await spendPushed(tx, needs, pushed)
    const challenge = fields.get('code_challenge') ?? ''
    return makeCode(tx, needs, { clientId: client.id, redirectUri, challenge, key, loginSessionId: session.id })
  })
  return answerTo(needs, asking, { code })
}

async function errorTo(needs: LoginNeeds, asking: Asking, error: string, description: string): Promise<PageAnswer> {
  if (asking.pushed !== undefined) await spendPushed(needs.db, needs, asking.pushed)
  return answerTo(needs, asking, { error, error_description: description })
}

/** RFC 6749 §4.1.2 with the issuer of RFC 9207, so that a client of several servers knows whose answer it is. */
function answerTo(
  needs: LoginNeeds,
  { redirectUri, fields }: Asking,
  said: Readonly<Record<string, string>>,
): PageAnswer {
  const to = new URL(redirectUri)
  const state = fields.get('state')
  const all = { ...said, ...(state !== undefined && { state }), iss: needs.issuer() }
  for (const [name, value] of Object.entries(all)) to.searchParams.set(name, value)
  return goTo(to.href)
}
