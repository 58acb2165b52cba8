import { loadIdentity } from '../identities/identities.ts'
import type { PageAnswer, PageAsked, PageDoor } from '../kernel/http/pages.ts'
import { Secret } from '../kernel/secret.ts'
import { goTo, pageDoor, returnPath } from './browser.ts'
import type { LoginNeeds } from './needs.ts'
import { beginAttempt } from './oidc/attempt.ts'
import { finishLogin } from './oidc/callback.ts'
import type { Provider } from './oidc/provider.ts'
import { hereOnly } from './logout-pages.ts'
import { html, page, type Html } from './page.ts'
import { refusing } from './passkeys/pages.ts'
import { LoginRefused } from './refused.ts'
import { browserSession, formToken, type BrowserSession } from './sessions/cookie.ts'

/** Where people log in and out, come back from a provider, and spend a one-time link on a login there. */
export function loginPages(needs: LoginNeeds): readonly PageDoor[] {
  return [
    pageDoor(needs, { method: 'GET', path: '/login', isEntered: true }, (asked) => loginPage(needs, asked)),
    pageDoor(needs, { method: 'GET', path: '/login/enrol', isEntered: true }, async () => enrolPage(needs)),
    pageDoor(needs, { method: 'POST', path: '/login/enrol' }, (asked) => enrol(needs, asked)),
    ...needs.providers.flatMap((provider) => [
      // A link elsewhere may begin no login: it would choose as whom one comes back.
      pageDoor(needs, { method: 'GET', path: `/login/start/${provider.name}` }, (asked) =>
        start(needs, provider, asked),
      ),
      pageDoor(needs, { method: 'GET', path: `/login/callback/${provider.name}`, isEntered: true }, (asked) =>
        callback(needs, provider, asked),
      ),
    ]),
  ]
}

async function loginPage(needs: LoginNeeds, asked: PageAsked): Promise<PageAnswer> {
  const to = returnPath(needs, asked.fields.get('to'))
  const browser = await browserSession(needs, asked.cookies)
  if (!browser) return page('Log in to Reeve', waysIn(needs, to))
  const cookies = browser.setCookie === undefined ? [] : [browser.setCookie]
  return { ...page('You are logged in', await loggedIn(needs, browser)), cookies }
}

function waysIn(needs: LoginNeeds, to: string): Html {
  const providers = needs.providers.map(({ name, title }) => {
    const href = `/login/start/${name}?${new URLSearchParams({ to }).toString()}`
    return html`<p><a class="act" href="${href}">Log in with ${title}</a></p>`
  })
  const ways = [...providers, ...needs.otherWays(to)]
  if (ways.length === 0) {
    return html`<p>No way to log in is configured. <code>reeve enrol</code> takes the one-time link you were given.</p>`
  }
  const first = needs.providers.length === 0 ? [] : [html`<p><a href="/login/enrol">I have a one-time link</a></p>`]
  return html`${ways}${first}`
}

async function loggedIn(needs: LoginNeeds, browser: BrowserSession): Promise<Html> {
  const { session } = browser
  const person = await loadIdentity(needs.db, session.identityId)
  const by = session.provider === null ? 'a passkey' : session.provider
  return html`<p>You are <strong>${person?.name ?? ''}</strong>, since ${session.createdAt.toISOString()}, by ${by}.</p>
    <form method="post" action="/login/out">
      <input type="hidden" name="form" value="${formToken(browser, 'out')}" /> <button>Log out</button>
      ${hereOnly(needs, browser)}
    </form>
    <p>A program that shows you a code is let in <a href="/device">here</a>.</p>`
}

async function start(needs: LoginNeeds, provider: Provider, asked: PageAsked): Promise<PageAnswer> {
  const returnTo = returnPath(needs, asked.fields.get('to'))
  const begun = await beginAttempt(needs, provider, asked.cookies, { returnTo, enrolment: null, stepUpId: null })
  return goTo(begun.to.href, [begun.cookie])
}

async function callback(needs: LoginNeeds, provider: Provider, asked: PageAsked): Promise<PageAnswer> {
  const { returnTo, setCookie } = await refusing(() => finishLogin(needs, provider, asked))
  return goTo(returnTo, setCookie === null ? [] : [setCookie])
}

function enrolPage(needs: LoginNeeds): PageAnswer {
  const buttons = needs.providers.map(
    ({ name, title }) => html`<button name="provider" value="${name}">Link my account of ${title}</button>`,
  )
  return page(
    'Spend a one-time link',
    html`<p>
        Paste the link you were given. It is spent on your next login at the provider, by which you are known here from
        then on.
      </p>
      <form method="post" action="/login/enrol">
        <label>One-time link <input name="link" type="password" autocomplete="off" required /></label>${buttons}
      </form>`,
  )
}

/** `https://host/#enrol=<secret>…`, or the secret alone. */
const SECRET = /(?:^|[#&]enrol=)(reeve_enrol_[A-Za-z0-9_-]{20,100})(?:&|$)/

async function enrol(needs: LoginNeeds, asked: PageAsked): Promise<PageAnswer> {
  const provider = needs.providers.find(({ name }) => name === asked.fields.get('provider'))
  const secret = SECRET.exec((asked.fields.get('link') ?? '').trim())?.[1]
  if (!provider || secret === undefined) throw new LoginRefused('over', 'This is no one-time link.')
  const enrolment = new Secret(secret)
  const begun = await beginAttempt(needs, provider, asked.cookies, { returnTo: '/login', enrolment, stepUpId: null })
  // A link and not a redirect: forms of this page lead to this host only.
  const next = html`<p>The link is checked when you are back.</p>
    <p><a class="act" href="${begun.to.href}">Continue at ${provider.title}</a></p>`
  return { ...page('One more step', next), cookies: [begun.cookie] }
}
