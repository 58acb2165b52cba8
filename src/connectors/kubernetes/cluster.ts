import type { z } from 'zod'
import {
  known,
  unknown,
  type Given,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { everyOf, NotServed, type Api, type Batch, type Form, type Kind } from './api.ts'
import type { Names } from './things.ts'

/** What every scope is read with. */
export type Cluster = {
  readonly api: Api
  readonly names: Names
  readonly given: Pick<Given, 'clock' | 'ours' | 'delivered'>
}

type Told<T> = {
  readonly kinds: readonly Kind[]
  readonly form: Form
  readonly shape: z.ZodType<T>
  /** What one item is, said in observations. */
  readonly tell: (item: T, kind: Kind) => readonly Observation[]
}

const PAGE = 2_000

/** Reads lists item by item and tells each. What is not as the API has it is counted and makes the scope partial. */
export async function* tellEvery<T>(
  { api }: Cluster,
  { kinds, form, shape, tell }: Told<T>,
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
  try {
    for await (const batch of everyOf(api, kinds, { form, cursor: since.cursor }, signal)) {
      const observations = say(batch)
      for (let at = 0; at === 0 || at < observations.length; at += PAGE) {
        const isLast = at + PAGE >= observations.length
        yield {
          observations: observations.slice(at, at + PAGE),
          ...(isLast && batch.cursor !== undefined && { cursor: batch.cursor }),
        }
      }
    }
  } catch (error) {
    if (!(error instanceof NotServed)) throw error
    return {
      status: 'unsupported',
      missing: [{ what: kinds[0]?.resource ?? '', why: 'this API server does not have them' }],
    }
  }
  const missing = unread > 0 ? [{ what: `${unread} things`, why: 'they are not as the API has them' }] : []
  return { status: unread > 0 ? 'partial' : 'complete', missing }
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
