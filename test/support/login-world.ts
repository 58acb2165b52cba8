import assert from 'node:assert/strict'
import { createLoginLink } from '../../src/login/contract.ts'
import { activateIdentity, registerIdentity } from '../../src/identities/contract.ts'
import type { Cleaning } from './installation.ts'
import { startProvider, type TestProvider } from './identity-provider.ts'
import { dpopProof, tokenWorld, type Answer, type Sent, type TestKey, type TokenWorld } from './token-world.ts'

/** A browser, as far as the pages need one: it keeps cookies and follows what it is told, one step at a time. */
export type Browser = {
  readonly cookies: Map<string, string>
  get(path: string, sent?: Sent): Promise<Answer>
  post(path: string, form: Readonly<Record<string, string>>, sent?: Sent): Promise<Answer>
  /** Follows the answer to a provider and back, and gives what the callback said. */
  viaProvider(answer: Answer): Promise<Answer>
}

export type LoginWorld = TokenWorld & {
  readonly provider: TestProvider
  readonly other: TestProvider
  browser(): Browser
  /** A person, linked to a subject of the provider. */
  person(name: string, subject?: string): Promise<string>
  /** A browser in which the provider's subject is logged in. */
  loggedIn(): Promise<Browser>
}

/** A whole server with two providers, of which the second is somebody else's. */
export async function loginWorld(
  t: Cleaning,
  more: Readonly<Record<string, unknown>> = {},
  ofMain: Readonly<Record<string, unknown>> = {},
): Promise<LoginWorld> {
  const [provider, other] = await Promise.all([startProvider(t), startProvider(t)])
  const configured = (name: string, { url, clientId, clientSecret }: TestProvider) => ({
    name,
    issuer: url,
    clientId,
    clientSecret,
    algorithm: 'ES256',
  })
  const { login, ...rest } = more
  const world = await tokenWorld(t, {
    login: {
      providers: [{ ...configured('main', provider), ...ofMain }, configured('other', other)],
      clients: [
        {
          id: 'console',
          title: 'the console',
          redirectUris: ['https://console.example/callback'],
          postLogoutRedirectUris: ['https://console.example/out'],
        },
        { id: 'native', title: 'a program', redirectUris: ['http://127.0.0.1/callback'] },
      ],
      ...(typeof login === 'object' ? login : {}),
    },
    ...rest,
  })
  const browser = () => openBrowser(world)
  return {
    ...world,
    provider,
    other,
    browser,
    async person(name, subject = provider.subject) {
      const input = { kind: 'human', name, profile: 'person', environment: 'production', tier: 1 } as const
      const { id } = await world.ada.ask(registerIdentity, { input })
      await world.ada.ask(activateIdentity, { params: { identity: name } })
      await world.ada.ask(createLoginLink, { params: { identity: name }, input: { provider: 'main', subject } })
      return id
    },
    async loggedIn() {
      const opened = browser()
      await opened.viaProvider(await opened.get('/login/start/main?to=/login'))
      return opened
    },
  }
}

export function openBrowser({ send }: Pick<TokenWorld, 'send'>): Browser {
  const cookies = new Map<string, string>()
  const keep = (answer: Answer): Answer => {
    const { 'set-cookie': set = [] } = answer.headers
    for (const each of Array.isArray(set) ? set : [set]) {
      const [pair = ''] = each.split(';')
      const [name = '', value = ''] = pair.split(/=(.*)/s)
      if (/Max-Age=0(?:;|$)/.test(each)) cookies.delete(name)
      else cookies.set(name, value)
    }
    return answer
  }
  const cookie = () => [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const browser: Browser = {
    cookies,
    get: async (path, { headers, ...sent } = {}) =>
      keep(await send(path, { headers: { 'user-agent': 'a browser', cookie: cookie(), ...headers }, ...sent })),
    post: async (path, form, { headers, ...sent } = {}) =>
      keep(
        await send(path, {
          method: 'POST',
          body: new URLSearchParams(form).toString(),
          headers: {
            'user-agent': 'a browser',
            'content-type': 'application/x-www-form-urlencoded',
            'sec-fetch-site': 'same-origin',
            cookie: cookie(),
            ...headers,
          },
          ...sent,
        }),
      ),
    async viaProvider(answer) {
      const there = await fetch(String(answer.headers['location']), { redirect: 'manual' })
      const back = new URL(there.headers.get('location') ?? '')
      return browser.get(`${back.pathname}${back.search}`, {
        headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      })
    },
  }
  return browser
}

type FetchOptions = { method?: string; headers?: object; body?: ConstructorParameters<typeof Response>[0] }

/** How the clients of others reach the server: over its own TLS, with their own requests. */
export function fetchTo({ send }: Pick<TokenWorld, 'send'>) {
  return async (url: string | URL, { method = 'GET', headers = {}, body }: FetchOptions): Promise<Response> => {
    const { pathname, search } = new URL(url)
    const text = body === undefined || body === null ? undefined : await new Response(body).text()
    const answer = await send(`${pathname}${search}`, {
      method,
      headers: Object.fromEntries(new Headers(Object.entries(headers))),
      ...(text !== undefined && { body: text }),
    })
    const told = Object.entries(answer.headers).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, String(value)]],
    )
    return new Response(typeof answer.json === 'string' ? answer.json : JSON.stringify(answer.json), {
      status: answer.status,
      headers: told,
    })
  }
}

/** A program that waits to be let in, by the key it asked with. */
export type Waiting = { readonly key: TestKey; readonly device_code: string; readonly user_code: string }

export async function beginDevice(w: TokenWorld, key: TestKey, more: Readonly<Record<string, string>> = {}) {
  const proof = await dpopProof(key, { htm: 'POST', htu: `${w.issuer}/oauth2/device_authorization` })
  return w.send('/oauth2/device_authorization', {
    method: 'POST',
    body: new URLSearchParams({ client_id: 'reeve-cli', ...more }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', dpop: proof, 'user-agent': 'a laptop' },
  })
}

/** Asks as RFC 8628 says, once; the pace is the test's. */
export function poll(w: TokenWorld, waiting: Waiting, key = waiting.key): Promise<Answer> {
  const form = { grant_type: DEVICE_GRANT, device_code: waiting.device_code, client_id: 'reeve-cli' }
  return w.ask(form, { dpop: key })
}

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** Types the code, and decides. */
export async function decide(browser: Browser, userCode: string, answer: 'yes' | 'no'): Promise<Answer> {
  const asked = await browser.get('/device')
  const shown = await browser.post('/device', { form: fieldIn(asked, 'form'), user_code: userCode })
  const form = { form: fieldIn(shown, 'form'), device: fieldIn(shown, 'device'), answer }
  return browser.post('/device/decide', form)
}

/** The value of a hidden field of a page. */
export function fieldIn(page: Answer, name: string): string {
  const found = new RegExp(`name="${name}" value="([^"]*)"`).exec(String(page.json))?.[1]
  if (found === undefined) throw new Error(`the page has no field ${name}: ${String(page.json)}`)
  return found.replaceAll('&amp;', '&')
}

export const LOGIN_COOKIE = '__Host-reeve-login'

/** Comes back from the provider as it is bent now, and must not be logged in by it. */
export async function refusedLogin(w: LoginWorld, bend: Partial<LoginWorld['provider']>): Promise<Answer> {
  const before = { ...w.provider }
  Object.assign(w.provider, bend)
  try {
    const browser = w.browser()
    const answer = await browser.viaProvider(await browser.get('/login/start/main'))
    assert.equal(browser.cookies.has(LOGIN_COOKIE), false, `it was logged in: ${JSON.stringify(bend)}`)
    return answer
  } finally {
    Object.assign(w.provider, before)
  }
}
