import { beginUse, closeUse, keepRefusals, type GrantFacts, type Subscription } from '../access/access.ts'
import type { EndedGrant } from '../access/access.ts'
import { transact } from '../kernel/db.ts'
import { sleep } from '../kernel/timer.ts'
import { openSession, type OpenedSession, type RunningSession } from '../sessions/sessions.ts'
import type { ClassTable } from './class-table.ts'
import { endingOf } from './endings.ts'
import { reachGateway } from './fault-points.ts'
import { Refused, type Admission, type Ending, type LiveSession } from './gateway.ts'
import { holdFor } from './hold.ts'
import type { HostNeeds } from './needs.ts'
import { RefusalCounts } from './refusal-counts.ts'
import type { ReservedUse } from './reserved-use.ts'

/** What was reserved for one connection. */
export type Reserved = {
  readonly facts: GrantFacts
  readonly use: ReservedUse
  readonly table: ClassTable
  readonly subscription: Subscription
  readonly upstream: Admission['upstream']
  readonly gateway: string
  readonly clientAddress: string
  /** Gives everything back that is still held; used once. */
  readonly release: () => Promise<void>
}

const NEVER_CLOSED: Ending = { reason: 'connection-lost', sentence: 'The connection was given up.' }

/** One admitted connection, from the reserved use to the closed session. */
export class HeldAdmission implements Admission {
  readonly grant: Admission['grant']
  readonly subject: Admission['subject']
  readonly target: Admission['target']
  readonly account: Admission['account']
  readonly upstream: Admission['upstream']
  readonly #needs: HostNeeds
  readonly #reserved: Reserved
  readonly #ended = new AbortController()
  readonly #counts = new RefusalCounts()
  #session: RunningSession | undefined
  #closing: Promise<void> | undefined
  #hasBegun = false

  constructor(needs: HostNeeds, reserved: Reserved) {
    const { grant, subject, target, account } = reserved.facts
    this.grant = { id: grant.id, actions: grant.actions, expiresAt: grant.expiresAt }
    this.subject = { id: subject.id, name: subject.name, kind: subject.kind }
    this.target = { id: target.id, name: target.name, settings: target.settings }
    this.account = { name: account.name, databases: account.databases }
    this.upstream = reserved.upstream
    this.#needs = needs
    this.#reserved = reserved
    const { subscription } = reserved
    const onEnded = () => this.#end(endingOf(subscription.ending()))
    if (subscription.ended.aborted) onEnded()
    else subscription.ended.addEventListener('abort', onEnded, { once: true })
  }

  get ended(): AbortSignal {
    return this.#ended.signal
  }

  async begin(): Promise<LiveSession> {
    if (this.#hasBegun) throw new Error('an admission begins once')
    this.#hasBegun = true
    let opened: OpenedSession
    try {
      opened = await transact(this.#needs.db, (tx) => this.#open(tx))
    } catch (error) {
      // Disposal gives the use back, and closes the session where the commit came through and its answer did not.
      this.#reserved.use.mayHaveOpened = true
      throw error
    }
    await reachGateway('gateway.session-opened')
    const session = await this.#needs.live.run(opened)
    this.#session = session
    await reachGateway('gateway.session-running')
    session.stopped.addEventListener('abort', () => this.#end(STOPPED), { once: true })
    if (session.lost.aborted) {
      await this.#close(NOT_RECORDED)
      throw new Refused('not-now', NOT_RECORDED.sentence)
    }
    const { table } = this.#reserved
    return {
      id: session.id,
      refusal: (action) => table.refusal(action),
      passing: (action) => table.passing(action),
      holding: (held) => table.holding(held),
      hold: (operation, signal) => holdFor(this.#needs, { table, useId: this.#reserved.use.id }, operation, signal),
      record: (operation) => {
        this.#counts.count(operation)
        session.record(operation)
      },
      lost: session.lost,
      close: (ending) => this.#close(ending),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session) await this.#close(NEVER_CLOSED)
    await this.#reserved.release()
  }

  async #open(tx: Parameters<typeof openSession>[0]): Promise<OpenedSession> {
    const { facts, use, gateway, clientAddress } = this.#reserved
    const opening = { id: use.id, grantId: facts.grant.id, proofId: facts.proofId, gateway, clientAddress }
    const opened = await openSession(tx, this.#needs.sessions, opening)
    if (await beginUse(tx, this.#needs.access, { useId: use.id, cause: opened.cause })) return opened
    throw new Refused('over', 'The grant ended before the target was ready. Request again if it is still needed.')
  }

  #end(ending: Ending): void {
    this.#ended.abort(ending)
  }

  #close(ending: Ending): Promise<void> {
    const session = this.#session
    if (!session) return Promise.resolve()
    this.#closing ??= this.#closeOnce(session, ending)
    return this.#closing
  }

  async #closeOnce(session: RunningSession, ending: Ending): Promise<void> {
    const { access, ends, live } = this.#needs
    // Nobody waits for a use of a grant that is over, and other connections of it are still to be cut.
    if (this.#reserved.subscription.ended.aborted) await sleep(CUT_FIRST_MS)
    let usedUp: EndedGrant | undefined
    await live.close(session, ending.reason, async (tx, cause) => {
      if (cause !== undefined)
        await keepRefusals(tx, { useId: this.#reserved.use.id, cause, counts: this.#counts.all() })
      usedUp = await closeUse(tx, access, { useId: this.#reserved.use.id, ...(cause !== undefined && { cause }) })
    })
    await reachGateway('gateway.session-closed')
    if (usedUp) ends.announceEnd(usedUp)
  }
}

/** Cutting a hundred connections takes a few milliseconds; what is written about them comes after. */
const CUT_FIRST_MS = 25
const STOPPED: Ending = { reason: 'stopped', sentence: 'An operator ended this session.' }
const NOT_RECORDED: Ending = {
  reason: 'recorder-lost',
  sentence: 'This session cannot be recorded, and its target allows nothing unrecorded. Try again in a while.',
}
