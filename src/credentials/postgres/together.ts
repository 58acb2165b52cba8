import { sha256 } from '../../kernel/crypto.ts'
import { after } from '../../kernel/timer.ts'
import { Together } from '../../kernel/together.ts'
import { LeaseFailure, type Details, type Site } from '../writer.ts'
import { makeRoles, takeFences, type Fenced, type Outcome, type Wanted } from './make.ts'
import type { PostgresSettings } from './settings.ts'
import { enter, type Upstream } from './upstream.ts'

/** In one transaction at the target; what is more waits for the next. */
const TOGETHER = 64
/** How long the target may take for them; then the connection is cut, and what became of them is not known. */
const BATCH_MS = 12_000
/**
 * A connection is kept for what comes right after, and not for long: whose login is being rotated sees our own sessions of a moment ago, and waits
 * for them (`turns.ts`).
 */
const KEPT_IDLE_MS = 500
const KEPT_MS = 4_000

/** One per target and provisioner. */
type Workshop = {
  readonly asked: Together<Wanted, Outcome>
  kept: Kept | undefined
}

type Kept = { readonly upstream: Upstream; readonly cut: AbortController; readonly age: Disposable; isOld: boolean }

const workshops = new Map<string, Workshop>()

/** Makes a role together with others that are asked for at the same time at the same target. Each fails by itself. */
export async function makeSoon(site: Site, wanted: Wanted, signal: AbortSignal): Promise<Details> {
  const key = keyOf(site, wanted)
  const workshop = workshops.get(key) ?? openWorkshop(key, site, wanted.settings)
  workshops.set(key, workshop)
  const outcome = await workshop.asked.ask(wanted, signal)
  if (outcome.kind === 'made') return outcome.details
  throw outcome.why
}

/** Whoever knows another secret or other settings has another connection. */
function keyOf({ provisioner }: Site, { settings }: Wanted): string {
  return JSON.stringify([settings, provisioner.user, sha256(provisioner.secret.reveal()).toString('base64')])
}

function openWorkshop(key: string, site: Site, settings: PostgresSettings): Workshop {
  const leaveSoon = () =>
    after(KEPT_IDLE_MS, () => {
      if (!workshop.asked.isIdle()) return
      workshops.delete(key)
      if (workshop.kept) void leave(workshop.kept)
    })
  const workshop: Workshop = {
    asked: new Together((wanted) => makeAll(workshop, site, settings, wanted), {
      most: TOGETHER,
      lanes: 1,
      onIdle: leaveSoon,
    }),
    kept: undefined,
  }
  return workshop
}

/** By the connection that was kept, if it still works: it may have broken since, and then nothing was made by it. */
async function makeAll(
  workshop: Workshop,
  site: Site,
  settings: PostgresSettings,
  wanted: readonly Wanted[],
): Promise<Outcome[]> {
  const last = workshop.kept
  workshop.kept = undefined
  if (last) {
    const fenced = last.isOld || !last.upstream.isOpen() ? undefined : await fencesBy(last, wanted)
    if (fenced) return finish(workshop, last, fenced, wanted)
    await leave(last)
  }
  const kept = await open(site, settings)
  return finish(workshop, kept, undefined, wanted)
}

async function fencesBy(kept: Kept, wanted: readonly Wanted[]): Promise<Fenced | undefined> {
  using _bound = boundOf(kept)
  return await takeFences(kept.upstream, wanted).catch(() => undefined)
}

async function finish(
  workshop: Workshop,
  kept: Kept,
  fenced: Fenced | undefined,
  wanted: readonly Wanted[],
): Promise<Outcome[]> {
  using _bound = boundOf(kept)
  try {
    const outcomes = await makeRoles(kept.upstream, fenced ?? (await takeFences(kept.upstream, wanted)), wanted)
    workshop.kept = kept
    return outcomes
  } catch (error) {
    await leave(kept)
    throw error
  }
}

async function open(site: Site, settings: PostgresSettings): Promise<Kept> {
  const cut = new AbortController()
  const kept = {
    upstream: await enter(site, settings, settings.database, cut.signal),
    cut,
    isOld: false,
    age: after(KEPT_MS, () => {
      kept.isOld = true
    }),
  }
  return kept
}

function boundOf({ cut }: Kept): Disposable {
  return after(BATCH_MS, () => cut.abort(new LeaseFailure('the target did not answer in time')))
}

async function leave({ upstream, age }: Kept): Promise<void> {
  age[Symbol.dispose]()
  await upstream[Symbol.asyncDispose]()
}
