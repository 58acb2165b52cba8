/** The server's side of deciding elsewhere. */
import { loadActions } from '../../catalog/catalog.ts'
import type { Db } from '../../kernel/db.ts'
import { nextTurn, sleep } from '../../kernel/timer.ts'
import type { Actor } from '../../ledger/ledger.ts'
import { enterReported, type EvaluateNeeds } from '../authzen/evaluate.ts'
import { factsFor, sourcesOf, type Sources } from '../authzen/question.ts'
import type { PolicySet } from '../policy-set.ts'
import { packFound, packValue } from './codec.ts'
import type { FactItem, PolicySetText, Reported, Synced } from './contract.ts'

export type DeciderNeeds = EvaluateNeeds & {
  /** Counts what was heard of changes of the record. */
  readonly heard: () => number
}

/** How often a stream of changes looks, and how often it says that it is still there. */
const LOOK_MS = 100
const LOOKS_PER_BEAT = 10

/** The facts that were asked for, as they stand now, and the policies that decide now unless they are known. */
export async function sync(
  db: Db,
  needs: DeciderNeeds,
  { knownVersion, items }: { readonly knownVersion: string | null; readonly items: readonly FactItem[] },
): Promise<Synced> {
  // Before anything is read: a change meanwhile gives another epoch.
  const epoch = epochOf(needs)
  const now = needs.clock.now()
  const { set } = needs.engine.current()
  const sources = sourcesOf(db, needs, factsFor(db, needs, set), set)
  const facts: Synced['facts'] = []
  for (const [at, item] of items.entries()) {
    facts.push(await factOf(db, sources, item))
    if (at % 16 === 15) await nextTurn()
  }
  return {
    now,
    policyVersion: set.sha256,
    policies: knownVersion === set.sha256 ? null : textOf(set),
    epoch,
    drafts: needs.drafts,
    entries: needs.entries,
    facts,
  }
}

async function factOf(
  db: Db,
  { facts, purpose, situation }: Sources,
  item: FactItem,
): Promise<Synced['facts'][number]> {
  switch (item.role) {
    case 'subject': {
      const found = await facts.subject({ type: item.type, id: item.id, properties: { proof: item.proof } })
      return json('unfound' in found ? found : packFound(found))
    }
    case 'resource': {
      const found = await facts.resource({ type: item.type, id: item.id })
      return json('unfound' in found ? found : packFound(found))
    }
    case 'purpose': {
      const value = await purpose(item.id, item.targetId ?? undefined, item.action)
      return value === undefined ? null : json(packValue(value))
    }
    case 'action': {
      const [entry] = await loadActions(db, [item.id])
      return entry ? { name: entry.name, obligations: { ...entry.obligations } } : null
    }
    case 'place':
      return json(await situation({ target: item.target, environment: item.environment }))
    case 'bootstrap':
      return facts.bootstrap()
  }
  return item satisfies never
}

/** What is plain already, in the type that says so. */
function json(value: unknown): Synced['facts'][number] {
  const plain: Synced['facts'][number] = JSON.parse(JSON.stringify(value))
  return plain
}

/** Everything a set is made of; whoever makes it again gets the same hash. */
function textOf(set: PolicySet): PolicySetText {
  const files = new Map<string, string[]>()
  for (const { file, text } of set.policies.values()) files.set(file, [...(files.get(file) ?? []), text])
  const { sha256: _hash, ...risk } = set.risk
  return {
    sha256: set.sha256,
    schema: JSON.parse(JSON.stringify(set.schema.json)),
    files: [...files].map(([name, texts]) => ({ name, text: texts.join('\n') })),
    risk: { ...risk },
    vocabulary: set.words.text,
  }
}

function epochOf({ engine, heard }: DeciderNeeds): string {
  return `${engine.current().set.sha256.slice(0, 16)}.${heard()}`
}

/** A line for each change that is heard of, and one a second besides. */
export async function* changes(
  needs: DeciderNeeds,
  seconds: number,
  signal: AbortSignal,
): AsyncGenerator<{ epoch: string; policyVersion: string }> {
  let [last, looks] = ['', 0]
  const until = needs.clock.monotonicMs() + seconds * 1000
  while (!signal.aborted && needs.clock.monotonicMs() < until) {
    const epoch = epochOf(needs)
    if (epoch !== last || looks >= LOOKS_PER_BEAT) {
      yield { epoch, policyVersion: needs.engine.current().set.sha256 }
      last = epoch
      looks = 0
    }
    looks += 1
    await sleep(LOOK_MS, signal).catch(() => undefined)
  }
}

/** Enters what was decided elsewhere, under the name of who says so. */
export async function report(
  db: Db,
  needs: EvaluateNeeds,
  actor: Actor,
  entries: readonly Reported[],
): Promise<{ entered: number }> {
  const { set } = needs.engine.current()
  const facts = factsFor(db, needs, set)
  const entered = entries.map((entry) => enterReported(db, needs, { set, facts, actor }, entry))
  await Promise.all(entered)
  return { entered: entered.length }
}
