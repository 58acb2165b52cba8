import { z } from 'zod'
import type { PageAnswer, PageAsked, PageDoor } from '../../kernel/http/pages.ts'
import { pageDoor } from '../browser.ts'
import type { LoginNeeds } from '../needs.ts'
import type { Provider } from '../oidc/provider.ts'
import { html, page, type Html } from '../page.ts'
import { refusing, responseIn } from '../passkeys/pages.ts'
import { AssertionResponse } from '../passkeys/schemas.ts'
import { PASSKEY_SCRIPT } from '../passkeys/script.ts'
import { LoginRefused } from '../refused.ts'
import { beginByLogin, providersFor } from './by-login.ts'
import { proveByPasskey, refuseAct, showAct, type Entered, type ShownAct } from './prove.ts'

/** Where a person reads exactly what will be done, and shows that it is them, or says no. No login is needed: the passkey is the proof. */
export function stepUpPages(needs: LoginNeeds): readonly PageDoor[] {
  return [
    pageDoor(needs, { method: 'GET', path: '/login/step-up', isEntered: true }, async (asked) => codePage(asked)),
    pageDoor(needs, { method: 'POST', path: '/login/step-up' }, (asked) => actPage(needs, asked)),
    pageDoor(needs, { method: 'POST', path: '/login/step-up/prove' }, (asked) => proven(needs, asked)),
    pageDoor(needs, { method: 'POST', path: '/login/step-up/provider' }, (asked) => atProvider(needs, asked)),
    pageDoor(needs, { method: 'GET', path: '/login/step-up/done', isEntered: true }, async () => donePage()),
    pageDoor(needs, { method: 'POST', path: '/login/step-up/refuse' }, (asked) => refused(needs, asked)),
  ]
}

function codePage({ fields }: PageAsked): PageAnswer {
  return page(
    'Confirm with a passkey',
    html`<p class="warn">
        Enter a code only if <strong>you</strong> have just started something, and your own terminal shows the code. If
        somebody sent you a link or a code, they want you to confirm what they are doing: close this page.
      </p>
      <form method="post" action="/login/step-up">
        <input type="hidden" name="id" value="${fields.get('id') ?? ''}" />
        <label>Code <input class="code" name="code" autocomplete="off" autocapitalize="characters" required /></label>
        <button>Show what it is</button>
      </form>`,
  )
}

async function actPage(needs: LoginNeeds, { fields }: PageAsked): Promise<PageAnswer> {
  const entered = enteredIn(fields)
  const shown = await refusing(() => showAct(needs, entered))
  const providers = await providersFor(needs, shown.row)
  return page('Is this what you want?', actOf(shown, entered, providers), { script: PASSKEY_SCRIPT })
}

function actOf({ row, options, hasPasskey }: ShownAct, { id, code }: Entered, providers: readonly Provider[]): Html {
  const { asker, person, shown, clientAddress, createdAt, expiresAt } = row
  const lines = shown.map((line) => html`<li>${line}</li>`)
  const both = html`<input type="hidden" name="id" value="${id}" /> <input type="hidden" name="code" value="${code}" />`
  const confirm = html`<form
    method="post"
    action="/login/step-up/prove"
    data-passkey="get"
    data-options="${JSON.stringify(options)}"
  >
    ${both}<input type="hidden" name="response" /> <button>Yes, confirm with my passkey</button> <output></output>
  </form>`
  return html`<p>
      <strong>${asker}</strong>, from ${clientAddress}, at ${createdAt.toISOString()}, wants to do exactly this:
    </p>
    <ul>
      ${lines}
    </ul>
    <p>Only <strong>${person}</strong> can confirm it, until ${expiresAt.toISOString()}, and once.</p>
    ${hasPasskey ? confirm : html`<p class="warn">${person} has no passkey here.</p>`}
    ${providers.length === 0 ? html`` : byLogin(providers, both)}
    <form method="post" action="/login/step-up/refuse">${both}<button>No, refuse it</button></form>`
}

function byLogin(providers: readonly Provider[], both: Html): Html {
  const buttons = providers.map(
    ({ name, title }) => html`<button name="provider" value="${name}">Yes, and log in again with ${title}</button>`,
  )
  return html`<form method="post" action="/login/step-up/provider">${both}${buttons}</form>
    <p>
      Logging in again is the weaker way: the provider says that it was you and when, and does not sign what is done, as
      a passkey does.
    </p>`
}

async function atProvider(needs: LoginNeeds, { fields, cookies }: PageAsked): Promise<PageAnswer> {
  const asked = { ...enteredIn(fields), name: fields.get('provider') ?? '' }
  const { to, cookie, provider, row } = await refusing(() => beginByLogin(needs, cookies, asked))
  // A link and not a redirect: forms of this page lead to this host only.
  const next = html`<p>Logging in there as <strong>${row.person}</strong> confirms exactly this, once:</p>
    <ul>
      ${row.shown.map((line) => html`<li>${line}</li>`)}
    </ul>
    <p><a class="act" href="${to.href}">Continue at ${provider.title}</a></p>`
  return { ...page('One more step', next), cookies: [cookie] }
}

function donePage(): PageAnswer {
  const text = 'What you confirmed is done once, by who asked for it. If it was not confirmed, they are told.'
  return page('Back from the provider', html`<p>${text} You can close this page.</p>`)
}

async function proven(needs: LoginNeeds, { fields }: PageAsked): Promise<PageAnswer> {
  const response = responseIn(fields, 'response', AssertionResponse)
  await refusing(() => proveByPasskey(needs, { ...enteredIn(fields), response }))
  return page('Confirmed', html`<p>It is done once, by who asked for it. You can close this page.</p>`)
}

async function refused(needs: LoginNeeds, { fields }: PageAsked): Promise<PageAnswer> {
  await refusing(() => refuseAct(needs, enteredIn(fields)))
  return page('Refused', html`<p>Nothing was done. If you did not start this, tell security: somebody else did.</p>`)
}

function enteredIn(fields: PageAsked['fields']): Entered {
  const id = z.uuid().safeParse(fields.get('id'))
  const code = fields.get('code') ?? ''
  if (id.success && code.length <= 20) return { id: id.data, code }
  throw new LoginRefused('over', 'Open the address that your terminal shows, and enter the code.')
}
