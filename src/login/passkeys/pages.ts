import { z } from 'zod'
import { loadIdentity } from '../../identities/identities.ts'
import type { PageAnswer, PageAsked, PageDoor } from '../../kernel/http/pages.ts'
import { Problem } from '../../kernel/problem.ts'
import { goTo, pageDoor, personDoor, returnPath } from '../browser.ts'
import type { LoginNeeds } from '../needs.ts'
import { html, page, type Html } from '../page.ts'
import { LoginRefused } from '../refused.ts'
import { formToken, isFormToken, type BrowserSession } from '../sessions/cookie.ts'
import { finishAdding } from './add.ts'
import { descriptorOf, beginAdding, beginEnrolment, finishEnrolment, passkeysOf } from './register.ts'
import { AssertionResponse, PasskeyLabel, RegistrationResponse } from './schemas.ts'
import { PASSKEY_SCRIPT } from './script.ts'
import { beginSignIn, signIn } from './sign-in.ts'
import { siteOf } from './site.ts'

const script = PASSKEY_SCRIPT

/** Where people log in by a passkey, spend a one-time link on the first one, and add another. */
export function passkeyPages(needs: LoginNeeds): readonly PageDoor[] {
  return [
    pageDoor(needs, { method: 'GET', path: '/login/passkey', isEntered: true }, (asked) => signInPage(needs, asked)),
    pageDoor(needs, { method: 'POST', path: '/login/passkey' }, (asked) => signedIn(needs, asked)),
    pageDoor(needs, { method: 'GET', path: '/login/passkey/enrol', isEntered: true }, async () => linkPage()),
    pageDoor(needs, { method: 'POST', path: '/login/passkey/enrol' }, (asked) => enrolPage(needs, asked)),
    pageDoor(needs, { method: 'POST', path: '/login/passkey/enrolled' }, (asked) => enrolled(needs, asked)),
    personDoor(needs, { method: 'GET', path: '/login/passkey/add' }, (_asked, browser) => addPage(needs, browser)),
    personDoor(needs, { method: 'POST', path: '/login/passkey/add' }, (asked, browser) => added(needs, asked, browser)),
  ]
}

/** The link of the login page that leads here. */
export function passkeyWay(returnTo: string): Html {
  const href = `/login/passkey?${new URLSearchParams({ to: returnTo }).toString()}`
  return html`<p><a class="act" href="${href}">Log in with a passkey</a></p>
    <p><a href="/login/passkey/enrol">I have a one-time link, and want a passkey</a></p>`
}

async function signInPage(needs: LoginNeeds, asked: PageAsked): Promise<PageAnswer> {
  const { ceremony, options } = await beginSignIn(needs)
  const form = html`<form
    method="post"
    action="/login/passkey"
    data-passkey="get"
    data-options="${JSON.stringify(options)}"
  >
    <input type="hidden" name="to" value="${returnPath(needs, asked.fields.get('to'))}" />
    <input type="hidden" name="ceremony" value="${ceremony}" />
    <input type="hidden" name="response" />
    <button>Log in with a passkey</button> <output></output>
  </form>`
  return page('Log in to Reeve', form, { script })
}

async function signedIn(needs: LoginNeeds, { fields, client }: PageAsked): Promise<PageAnswer> {
  const { setCookie } = await refusing(() =>
    signIn(needs, {
      ceremony: ceremonyIn(fields),
      response: responseIn(fields, 'response', AssertionResponse),
      client,
    }),
  )
  return goTo(returnPath(needs, fields.get('to')), [setCookie])
}

function linkPage(): PageAnswer {
  return page(
    'Spend a one-time link on a passkey',
    html`<p>Paste the link you were given. It is spent when your authenticator has made the passkey.</p>
      <form method="post" action="/login/passkey/enrol">
        <label>One-time link <input name="link" type="password" autocomplete="off" required /></label>
        <label>What to call the passkey <input name="label" value="my passkey" required maxlength="100" /></label>
        <label>Your name here, if you are the first person <input name="name" autocomplete="username" /></label>
        <button>Go on</button>
      </form>`,
  )
}

/** `https://host/#enrol=<secret>…`, or the secret alone. */
const SECRET = /(?:^|[#&]enrol=)(reeve_enrol_[A-Za-z0-9_-]{20,100})(?:&|$)/

async function enrolPage(needs: LoginNeeds, { fields }: PageAsked): Promise<PageAnswer> {
  const link = linkIn(fields)
  const label = labelIn(fields)
  const { ceremony, options } = await refusing(() => beginEnrolment(needs, link))
  const form = html`<form
    method="post"
    action="/login/passkey/enrolled"
    data-passkey="create"
    data-options="${JSON.stringify(options)}"
  >
    <input type="hidden" name="link" value="${link.secret}" />
    <input type="hidden" name="name" value="${link.name ?? ''}" />
    <input type="hidden" name="label" value="${label}" />
    <input type="hidden" name="ceremony" value="${ceremony}" />
    <input type="hidden" name="response" />
    <button>Make the passkey</button> <output></output>
  </form>`
  return page('Make a passkey', form, { script })
}

async function enrolled(needs: LoginNeeds, { fields }: PageAsked): Promise<PageAnswer> {
  const response = responseIn(fields, 'response', RegistrationResponse)
  const made = { ...linkIn(fields), ceremony: ceremonyIn(fields), response, label: labelIn(fields) }
  await refusing(() => finishEnrolment(needs, made))
  return page(
    'You have a passkey',
    html`<p>The link is spent.</p>
      <p><a class="act" href="/login/passkey">Log in with it</a></p>`,
  )
}

async function addPage(needs: LoginNeeds, browser: BrowserSession): Promise<PageAnswer> {
  const { session } = browser
  const person = await loadIdentity(needs.db, session.identityId)
  const held = await passkeysOf(needs.db, session.identityId)
  if (!person || held.length === 0) {
    throw new LoginRefused('refused', 'Your first passkey takes a one-time link: ask an administrator for one.')
  }
  const { ceremony, options } = await beginAdding(needs, person)
  const { rpId } = siteOf(needs.issuer())
  const agreeing = { rpId, allowCredentials: held.map(descriptorOf), userVerification: 'required' }
  const form = html`<p>Your browser makes the new passkey first, and then asks an older one of yours to agree to it.</p>
    <form
      method="post"
      action="/login/passkey/add"
      data-passkey="create"
      data-options="${JSON.stringify(options)}"
      data-agreeing="${JSON.stringify(agreeing)}"
    >
      <input type="hidden" name="form" value="${formToken(browser, 'passkey.add')}" />
      <input type="hidden" name="ceremony" value="${ceremony}" />
      <input type="hidden" name="response" /> <input type="hidden" name="agreement" />
      <label>What to call it <input name="label" value="another passkey" required maxlength="100" /></label>
      <button>Add a passkey</button> <output></output>
    </form>`
  return page('Add a passkey', form, { script })
}

async function added(needs: LoginNeeds, { fields }: PageAsked, browser: BrowserSession): Promise<PageAnswer> {
  const { session } = browser
  if (!isFormToken(browser, 'passkey.add', fields.get('form'))) {
    throw new LoginRefused('forged', 'This form was not given to this login. Go back, and load the page again.')
  }
  await refusing(() =>
    finishAdding(needs, {
      personId: session.identityId,
      ceremony: ceremonyIn(fields),
      response: responseIn(fields, 'response', RegistrationResponse),
      agreement: responseIn(fields, 'agreement', AssertionResponse),
      label: labelIn(fields),
    }),
  )
  return page('You have another passkey', html`<p>An older one of yours agreed to it.</p>`)
}

type Fields = PageAsked['fields']

/** What a browser put into a form; throws `LoginRefused` for anything that is no such thing. */
export function responseIn<T>(fields: Fields, name: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(fields.get(name) ?? ''))
  } catch (error) {
    throw new LoginRefused('forged', 'The browser sent no passkey.', { cause: error })
  }
}

function ceremonyIn(fields: Fields): string {
  const parsed = z.uuid().safeParse(fields.get('ceremony'))
  if (parsed.success) return parsed.data
  throw new LoginRefused('over', 'Begin again: this page is an old one.')
}

function labelIn(fields: Fields): string {
  const parsed = PasskeyLabel.safeParse(fields.get('label'))
  if (parsed.success) return parsed.data
  throw new LoginRefused('forged', 'Say in up to 100 characters what to call the passkey.')
}

function linkIn(fields: Fields): { readonly secret: string; readonly name?: string } {
  const secret = SECRET.exec((fields.get('link') ?? '').trim())?.[1]
  if (secret === undefined) throw new LoginRefused('over', 'This is no one-time link.')
  const name = fields.get('name')
  return { secret, ...(name !== undefined && { name }) }
}

/** A problem as a page says it. */
export async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    throw new LoginRefused('refused', error.message, { cause: error })
  }
}
