import { sha256 } from '../kernel/crypto.ts'
import { transact } from '../kernel/db.ts'
import type { PageAnswer, PageAsked, PageDoor } from '../kernel/http/pages.ts'
import { AUTHORIZATION_PATH, CHALLENGE, makeCode, type PublicClient } from '../tokens/tokens.ts'
import { goTo, loginAt, pageDoor, personDoor } from './browser.ts'
import { mustBeOurForm } from './login-pages.ts'
import type { LoginNeeds } from './needs.ts'
import { html, page } from './page.ts'
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

/** What a client may say here; anything else means nothing to us (RFC 6749 §3.1). */
const NAMES = [
  'response_type',
  'client_id',
  'redirect_uri',
  'state',
  'code_challenge',
  'code_challenge_method',
  'dpop_jkt',
  'prompt',
] as const
const STATE_MAX_CHARS = 1_000
/** RFC 7638 with SHA-256. */
const THUMBPRINT = CHALLENGE

type Asking = {
  readonly client: PublicClient
  readonly redirectUri: string
  readonly fields: PageAsked['fields']
  readonly challenge: string
}

async function authorize(
  needs: LoginNeeds,
  asked: PageAsked,
  browser: BrowserSession | undefined,
): Promise<PageAnswer> {
  const read = readAsking(needs, asked.fields)
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
  const read = readAsking(needs, asked.fields)
  if ('refusal' in read) return read.refusal
  const { asking } = read
  mustBeOurForm(isFormToken(browser, purposeOf(asking), asked.fields.get('form')))
  if (asked.fields.get('answer') !== 'yes') return errorTo(needs, asking, 'access_denied', 'The person said no.')
  return codeTo(needs, asking, browser)
}

/**
 * Who asks for what. Before the client and its address are known to belong together nothing is sent to that address; what is wrong is said to
 * the person (RFC 6749 §4.1.2.1).
 */
function readAsking(
  needs: LoginNeeds,
  fields: PageAsked['fields'],
): { readonly asking: Asking } | { readonly refusal: PageAnswer } {
  const client = needs.publicClients.find(({ id }) => id === fields.get('client_id'))
  const redirectUri = fields.get('redirect_uri')
  if (!client || redirectUri === undefined || !client.redirectUris.some((known) => isSameAddress(known, redirectUri))) {
    throw new LoginRefused(
      'forged',
      'The program that sent you here is not registered with this address. Nothing was sent to it.',
    )
  }
  const challenge = fields.get('code_challenge') ?? ''
  const asking = { client, redirectUri, fields, challenge }
  const refuse = (error: string, why: string) => ({ refusal: errorTo(needs, asking, error, why) })
  if (fields.get('response_type') !== 'code') return refuse('unsupported_response_type', 'Only codes are given.')
  if ((fields.get('response_mode') ?? 'query') !== 'query') return refuse('invalid_request', 'Answers go in the query.')
  if (fields.has('request') || fields.has('request_uri')) return refuse('request_not_supported', 'Send parameters.')
  if (fields.has('scope')) return refuse('invalid_scope', 'There are no scopes.')
  // RFC 9700 §2.1.1: without a challenge, or with a plain one, a stolen code is worth a token.
  if (fields.get('code_challenge_method') !== 'S256' || !CHALLENGE.test(challenge)) {
    return refuse('invalid_request', 'PKCE with S256 is asked of everybody.')
  }
  const jkt = fields.get('dpop_jkt')
  if (jkt !== undefined && !THUMBPRINT.test(jkt)) return refuse('invalid_request', 'dpop_jkt is no thumbprint.')
  if ((fields.get('state') ?? '').length > STATE_MAX_CHARS) return refuse('invalid_request', 'The state is too long.')
  return { asking }
}

/** RFC 9700 §2.1: compared as text; of a program on this machine any port is its own (RFC 8252 §7.3). */
export function isSameAddress(known: string, asked: string): boolean {
  if (known === asked) return true
  const [a, b] = [LOOPBACK.exec(known), LOOPBACK.exec(asked)]
  return a !== null && b !== null && a[1] === b[1] && (a[2] ?? '') === (b[2] ?? '')
}

/** By address and never by `localhost`, which a name service may lead elsewhere (RFC 8252 §8.3). */
const LOOPBACK = /^http:\/\/(127\.0\.0\.1|\[::1\])(?::\d{1,5})?(\/[\x21\x22\x24-\x7e]*)?$/

function isOwnMachine(redirectUri: string): boolean {
  return !redirectUri.startsWith('https:')
}

function confirmPage({ client, redirectUri, fields }: Asking, browser: BrowserSession): PageAnswer {
  const asking = { client, redirectUri, fields }
  const hidden = NAMES.flatMap((name) => {
    const value = fields.get(name)
    return value === undefined ? [] : [html`<input type="hidden" name="${name}" value="${value}" />`]
  })
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

function purposeOf({ fields }: Pick<Asking, 'fields'>): string {
  const said = NAMES.map((name) => [name, fields.get(name) ?? null])
  return `authorize ${sha256(JSON.stringify(said)).toString('base64url')}`
}

async function codeTo(needs: LoginNeeds, asking: Asking, { session }: BrowserSession): Promise<PageAnswer> {
  const { client, redirectUri, challenge, fields } = asking
  const code = await transact(needs.db, (tx) =>
    makeCode(tx, needs, {
      clientId: client.id,
      redirectUri,
      challenge,
      dpopJkt: fields.get('dpop_jkt'),
      loginSessionId: session.id,
    }),
  )
  return answerTo(needs, asking, { code })
}

function errorTo(needs: LoginNeeds, asking: Asking, error: string, description: string): PageAnswer {
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
