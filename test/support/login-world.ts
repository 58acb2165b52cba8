import { createLoginLink } from '../../src/login/contract.ts'
import { activateIdentity, registerIdentity } from '../../src/identities/contract.ts'
import type { Cleaning } from './installation.ts'
import { startProvider, type TestProvider } from './identity-provider.ts'
import { tokenWorld, type Answer, type Sent, type TokenWorld } from './token-world.ts'

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
export async function loginWorld(t: Cleaning, more: Readonly<Record<string, unknown>> = {}): Promise<LoginWorld> {
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
      providers: [configured('main', provider), configured('other', other)],
      clients: [
        { id: 'console', title: 'the console', redirectUris: ['https://console.example/callback'] },
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

function openBrowser({ send }: Pick<TokenWorld, 'send'>): Browser {
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

/** The value of a hidden field of a page. */
export function fieldIn(page: Answer, name: string): string {
  const found = new RegExp(`name="${name}" value="([^"]*)"`).exec(String(page.json))?.[1]
  if (found === undefined) throw new Error(`the page has no field ${name}: ${String(page.json)}`)
  return found.replaceAll('&amp;', '&')
}
