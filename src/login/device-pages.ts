import { transact } from '../kernel/db.ts'
import { TokenBuckets } from '../kernel/http/token-bucket.ts'
import type { PageAnswer, PageAsked, PageDoor } from '../kernel/http/pages.ts'
import { decideDevice, deviceByCode, VERIFICATION_PATH, type WaitingDevice } from '../tokens/tokens.ts'
import { mustBeOurForm, personDoor } from './browser.ts'
import { deviceDecided } from './events.ts'
import type { LoginNeeds } from './needs.ts'
import { html, page } from './page.ts'
import { LoginRefused } from './refused.ts'
import { formToken, isFormToken, type BrowserSession } from './sessions/cookie.ts'
import { openLoginSession, type Authenticated } from './sessions/open.ts'

/** RFC 8628 §5.1: guesses of one person. 34 bits, ten minutes and a few tries leave nothing to guess. */
const TRIES = { perSecond: 1 / 60, burst: 5 }
const DECIDE_PATH = `${VERIFICATION_PATH}/decide` as const

/** Where a person who is logged in lets a program in that shows a code (RFC 8628 §3.3). */
export function devicePages(needs: LoginNeeds): readonly PageDoor[] {
  const tries = new TokenBuckets(needs.clock, TRIES)
  const entered = { method: 'GET', path: VERIFICATION_PATH, isEntered: true } as const
  return [
    personDoor(needs, entered, async (_asked, browser) => askForCode(browser)),
    personDoor(needs, { method: 'POST', path: VERIFICATION_PATH }, (asked, browser) =>
      showDevice(needs, tries, asked, browser),
    ),
    personDoor(needs, { method: 'POST', path: DECIDE_PATH }, (asked, browser) => decide(needs, asked, browser)),
  ]
}

const BEWARE = html`<p class="warn">
  Go on only if you started a login on a device of yours just now. Nobody from Reeve, your company or its support ever
  sends you a code to type in here: whoever does wants to act as you.
</p>`

function askForCode(browser: BrowserSession): PageAnswer {
  return page(
    'Let a program in',
    html`${BEWARE}
      <form method="post" action="${VERIFICATION_PATH}">
        <input type="hidden" name="form" value="${formToken(browser, 'device')}" />
        <label
          >Code that it shows
          <input
            class="code"
            name="user_code"
            autocomplete="off"
            autocapitalize="characters"
            spellcheck="false"
            required
        /></label>
        <button>Look it up</button>
      </form>`,
  )
}

async function showDevice(
  needs: LoginNeeds,
  tries: TokenBuckets,
  asked: PageAsked,
  browser: BrowserSession,
): Promise<PageAnswer> {
  const { session } = browser
  mustBeOurForm(isFormToken(browser, 'device', asked.fields.get('form')))
  const waitSeconds = tries.take(session.identityId)
  if (waitSeconds > 0) throw new LoginRefused('slow-down', `Too many codes. Try again in ${waitSeconds} seconds.`)
  const device = await deviceByCode(needs.db, needs, asked.fields.get('user_code') ?? '')
  if (!device)
    throw new LoginRefused(
      'over',
      'No program shows this code now. Look at the code again, or let it show another one.',
    )
  // A code that is right was not guessed.
  tries.giveBack(session.identityId)
  return page('Is this yours?', deviceForm(needs, { device, asked, browser }))
}

type Shown = { readonly device: WaitingDevice; readonly asked: PageAsked; readonly browser: BrowserSession }

function deviceForm(needs: LoginNeeds, { device, asked, browser }: Shown) {
  const title = needs.publicClients.find(({ id }) => id === device.clientId)?.title ?? device.clientId
  const isElsewhere = device.clientAddress !== asked.client.address
  const elsewhere = html`<p class="warn">
    It is at <strong>${device.clientAddress}</strong>, and you are at ${asked.client.address}: it runs on another
    machine than this browser. Be sure that it is yours.
  </p>`
  const button = (answer: string, text: string) => html`<button name="answer" value="${answer}">${text}</button>`
  return html`<p><strong>${title}</strong> wants to act as you until its login ends.</p>
    <ul>
      <li>It calls itself <code>${device.clientAgent.replaceAll(/[^\x20-\x7e]/g, '?')}</code>.</li>
      <li>It asked from ${device.clientAddress}.</li>
      <li>It asked at ${device.createdAt.toISOString()}.</li>
    </ul>
    ${isElsewhere ? elsewhere : undefined}${BEWARE}
    <form method="post" action="${DECIDE_PATH}">
      <input type="hidden" name="device" value="${device.id}" />
      <input type="hidden" name="form" value="${formToken(browser, `device ${device.id}`)}" />
      ${button('no', 'No, that is not mine')}${button('yes', 'Let it in')}
    </form>`
}

async function decide(needs: LoginNeeds, asked: PageAsked, browser: BrowserSession): Promise<PageAnswer> {
  const { session } = browser
  const device = asked.fields.get('device') ?? ''
  mustBeOurForm(isFormToken(browser, `device ${device}`, asked.fields.get('form')))
  const isApproved = asked.fields.get('answer') === 'yes'
  await transact(needs.db, async (tx) => {
    const row = await tx
      .selectFrom('deviceAuthorization')
      .select(['clientId', 'clientAddress', 'clientAgent'])
      .where('id', '=', device)
      .executeTakeFirst()
    const parent = await tx
      .selectFrom('loginSession')
      .select(['issuer', 'subject', 'providerSession'])
      .where('id', '=', session.id)
      .where('endedAt', 'is', null)
      .forShare()
      .executeTakeFirst()
    if (!row || !parent) throw over()
    const client = { address: row.clientAddress, agent: row.clientAgent }
    const made = isApproved
      ? await openLoginSession(tx, needs, sameProof(browser, parent), { channel: 'cli', client, parentId: session.id })
      : undefined
    await needs.ledger.record(tx, {
      event: deviceDecided,
      actor: { id: session.identityId, kind: 'human' },
      action: 'device.decide',
      resource: { type: 'Identity', id: session.identityId },
      outcome: isApproved ? 'done' : 'refused',
      facts: {
        authorizationId: device,
        clientId: row.clientId,
        isApproved,
        sessionId: made?.id ?? null,
        clientAddress: row.clientAddress,
      },
    })
    if (!(await decideDevice(tx, needs, device, made?.id ?? null))) throw over()
  })
  return isApproved
    ? page('It is let in', html`<p>The program goes on by itself. You can close this page.</p>`)
    : page(
        'It was not let in',
        html`<p>If you did not start it, tell your security team: somebody tried to act as you.</p>`,
      )
}

function over(): LoginRefused {
  return new LoginRefused('over', 'This is over, or was decided before.')
}

/** The program stands on the proof that the person gave in the browser, and is as strong and as old as that. */
function sameProof(
  { session }: BrowserSession,
  parent: { readonly issuer: string | null; readonly subject: string | null; readonly providerSession: string | null },
): Authenticated {
  const { identityId, method, acr, amr, authenticatedAt, provider } = session
  const { issuer, subject, providerSession } = parent
  const by =
    provider !== null && issuer !== null && subject !== null
      ? { provider, issuer, subject, session: providerSession }
      : null
  return { identityId, method, by, acr, amr, authenticatedAt }
}
