import type { PageAnswer, PageAsked, PageDoor } from '../kernel/http/pages.ts'
import type { LoginNeeds } from './needs.ts'
import { html, page } from './page.ts'
import { LoginRefused } from './refused.ts'
import { browserSession, type BrowserSession } from './sessions/cookie.ts'

const STATUS: Readonly<Record<LoginRefused['code'], number>> = {
  nobody: 403,
  over: 400,
  forged: 400,
  refused: 403,
  unreachable: 503,
  'slow-down': 429,
}

/** A page whose refusals are pages as well, at the one name of this installation, to which its cookies belong. */
export function pageDoor(
  needs: LoginNeeds,
  door: Omit<PageDoor, 'answer'>,
  answer: (asked: PageAsked) => Promise<PageAnswer>,
): PageDoor {
  return {
    ...door,
    async answer(asked) {
      const own = new URL(needs.issuer())
      if (asked.host !== own.host) {
        if (door.method === 'GET') return goTo(`${own.origin}${asked.url}`)
        return refusal(new LoginRefused('forged', `Come by the name of this installation: ${own.origin}`))
      }
      try {
        if (!asked.isClear) throw new LoginRefused('forged', 'The request says something twice, or is no form.')
        return await answer(asked)
      } catch (error) {
        if (!(error instanceof LoginRefused)) throw error
        needs.log.debug({ err: error, path: door.path }, 'a page refused')
        return refusal(error)
      }
    },
  }
}

/** A page for somebody who is logged in; everybody else logs in first and comes back. */
export function personDoor(
  needs: LoginNeeds,
  door: Omit<PageDoor, 'answer'>,
  answer: (asked: PageAsked, browser: BrowserSession) => Promise<PageAnswer>,
): PageDoor {
  return pageDoor(needs, door, async (asked) => {
    const browser = await browserSession(needs, asked.cookies)
    // What a form said is lost with the login it belonged to.
    if (!browser) return goTo(loginAt(door.method === 'GET' ? asked.url : door.path))
    const answered = await answer(asked, browser)
    const given = browser.setCookie === undefined ? [] : [browser.setCookie]
    return { ...answered, cookies: [...given, ...(answered.cookies ?? [])] }
  })
}

function refusal(error: LoginRefused): PageAnswer {
  const again = html`<p><a class="act" href="/login">Log in</a></p>`
  return page(
    'This did not work',
    html`<p>${error.message}</p>
      ${again}`,
    { status: STATUS[error.code] },
  )
}

/** Throws `LoginRefused` for a form that this browser was not given by us. */
export function mustBeOurForm(isOurs: boolean): void {
  if (!isOurs)
    throw new LoginRefused('forged', 'This form was not given to this login. Go back, and load the page again.')
}

/** RFC 9110 §15.4.4: whatever was sent, what follows is a GET. */
export function goTo(location: string, cookies: readonly string[] = []): PageAnswer {
  return { status: 303, headers: { location }, cookies }
}

export function loginAt(returnTo: string): string {
  return `/login?${new URLSearchParams({ to: returnTo }).toString()}`
}

const RETURN_MAX_CHARS = 4_000

/** A path of ours to go on at after a login; the page of logins for anything else, so that no login leads elsewhere. */
export function returnPath({ issuer }: Pick<LoginNeeds, 'issuer'>, to: string | undefined): string {
  const own = new URL(issuer())
  // A browser reads `//host` and `/\host` as another place.
  if (to === undefined || to.length > RETURN_MAX_CHARS || !/^\/(?![/\\])[\x21-\x7e]*$/.test(to)) return '/login'
  const url = URL.parse(to, own.href)
  return url !== null && url.origin === own.origin ? `${url.pathname}${url.search}` : '/login'
}
