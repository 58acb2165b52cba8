import type { z } from 'zod'
import {
  known,
  unknown,
  type Given,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import type { Api, Form, Kind } from './api.ts'
import { everyOf, Lists, type Batch } from './lists.ts'
import type { NamedThings, Names } from './things.ts'

/** What every scope is read with. */
export type Cluster = {
  readonly api: Api
  readonly names: Names
  readonly given: Pick<Given, 'clock' | 'ours' | 'delivered'>
}

type Told<T> = {
  readonly kinds: readonly Kind[]
  readonly form: Exclude<Form, 'one'>
  readonly shape: z.ZodType<T>
  /** What things are looked up in that items name. */
  readonly by?: readonly (NamedThings | undefined)[]
  /** What one item is, said in observations. */
  readonly tell: (item: T, kind: Kind) => readonly Observation[]
}

const PAGE = 2_000

/** Reads lists item by item and tells each. What is not as the API has it is counted and makes the scope partial. */
export async function* tellEvery<T>(
  { api }: Cluster,
  { kinds, form, shape, by = [], tell }: Told<T>,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  let unread = 0
  const say = ({ kind, items }: Batch) =>
    items.flatMap((item) => {
      const { data } = shape.safeParse(item)
      if (data === undefined) unread += 1
      return data === undefined ? [] : tell(data, kind)
    })
  const lists = new Lists()
  for await (const batch of everyOf(api, kinds, { form, cursor: since.cursor, lists }, signal)) {
    const observations = say(batch)
    for (let at = 0; at === 0 || at < observations.length; at += PAGE) {
      const isLast = at + PAGE >= observations.length
      yield {
        observations: observations.slice(at, at + PAGE),
        // A reading that goes on behind what it could not read would forget it.
        ...(isLast && unread === 0 && batch.cursor !== undefined && { cursor: batch.cursor }),
      }
    }
  }
  const unnamed = by.reduce((sum, names) => sum + (names?.unread ?? 0), 0)
  const why = 'they are not as the API has them'
  const broken = [
    ...(unread > 0 ? [{ what: `${unread} things`, why }] : []),
    ...(unnamed > 0 ? [{ what: `which ones are meant by the names of ${unnamed} others`, why }] : []),
  ]
  const { status } = lists
  const missing = [...lists.missing, ...broken, ...(status === 'denied' ? [] : elsewhere(api, kinds))]
  return { status: status === 'complete' && broken.length > 0 ? 'partial' : status, missing }
}

/** Where the settings name namespaces, the others are not looked at: what is there is neither seen nor gone. */
function elsewhere({ settings: { namespaces } }: Api, kinds: readonly Kind[]): Missing[] {
  const placed = kinds.filter(({ isClusterWide }) => isClusterWide !== true)
  if (!namespaces || placed.length === 0) return []
  return [
    {
      what: `${placed.map(({ resource }) => resource).join(', ')} of other namespaces`,
      why: `the settings name ${namespaces.length}, and only these are read`,
    },
  ]
}

/** What nobody but Kubernetes says of a principal. */
export const UNSAID = {
  state: known<'active'>('active'),
  createdBy: unknown('unsupported'),
  interactive: known(false),
  environment: unknown('unsupported'),
} as const

export function memberOf(
  id: string,
  principal: NativeId,
  on: NativeId,
  more: Partial<Extract<Observation, { kind: 'grant' }>> = {},
): Observation {
  return {
    kind: 'grant',
    id: { kind: 'membership', id },
    principal,
    on,
    privilege: 'MEMBER',
    level: 'use',
    grantable: known(false),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
    ...more,
  }
}

export function groupNamed(id: NativeId): Observation {
  return { kind: 'principal', id, type: 'group', name: id.id, createdAt: unknown('unsupported'), ...UNSAID }
}
