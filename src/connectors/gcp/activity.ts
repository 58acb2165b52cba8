/** When service accounts and their keys were used last (Policy Intelligence, "View recent usage for service accounts and keys"). */
import { z } from 'zod'
import {
  inPages,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { pages, whenOf, type Asked } from './api.ts'
import type { Gcp } from './assets.ts'
import { accountNamed, accountOf, accountsIn, keyOf, type Accounts } from './things.ts'

const Activity = z.object({
  fullResourceName: z.string(),
  observationPeriod: z.object({ startTime: z.string().optional(), endTime: z.string().optional() }).optional(),
  activity: z.object({ lastAuthenticatedTime: z.string().optional() }).default({}),
})

const SORTS = ['serviceAccountLastAuthentication', 'serviceAccountKeyLastAuthentication'] as const

export const NO_ACTIVITY: Missing = {
  what: 'when accounts and keys were used last',
  why: 'an export has nothing of it',
  permission: 'reading by the API, with a login',
}

export function activityAsked(parent: string, sort: string, pageSize = '1000'): Asked {
  return {
    path: `/v1/${parent}/locations/global/activityTypes/${sort}/activities:query`,
    query: [['pageSize', pageSize]],
    need: {
      what: 'when accounts and keys were used last',
      why: 'the login may not ask for it',
      permission: `policyanalyzer.${sort}Activities.query on ${parent} (roles/policyanalyzer.activityAnalysisViewer)`,
    },
  }
}

export async function* readActivity(gcp: Gcp, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const { activity, settings } = gcp
  if (!activity) return { status: 'unsupported', missing: [NO_ACTIVITY] }
  const accounts = await accountsIn(gcp, signal)
  let lost = 0
  for (const sort of SORTS) {
    const asked = activityAsked(settings.parent, sort)
    for await (const { items } of pages(activity, asked, { key: 'activities', shape: Activity }, signal)) {
      const told: Observation[] = []
      for (const each of items) {
        const subject = subjectOf(each.fullResourceName, accounts)
        if (subject) told.push(...tellActivity(each, subject, settings.activitySeesAll))
        else lost += 1
      }
      yield* inPages(told)
    }
  }
  if (lost === 0) return { status: 'complete', missing: [] }
  const missing = {
    what: `last uses of ${lost} accounts or keys`,
    why: 'their accounts are not among those that were told',
  }
  return { status: 'partial', missing: [missing] }
}

function subjectOf(name: string, accounts: Accounts): NativeId | undefined {
  const account = accountNamed(name, accounts)
  if (!account) return undefined
  const key = /\/keys\/([^/]+)$/.exec(name)?.[1]
  return key === undefined ? accountOf(account.uniqueId) : keyOf(account.uniqueId, key)
}

function tellActivity(
  { activity, observationPeriod }: z.output<typeof Activity>,
  subject: NativeId,
  seesAll: boolean,
): Observation[] {
  const at = whenOf(activity.lastAuthenticatedTime)
  const [from, to] = [whenOf(observationPeriod?.startTime), whenOf(observationPeriod?.endTime)]
  return [
    ...(at.known
      ? [{ kind: 'usage' as const, subject, semantics: 'auth' as const, at: at.value, actor: unknown('unsupported') }]
      : []),
    ...(from.known && to.known && from.value <= to.value
      ? [
          {
            kind: 'usage-window' as const,
            subject,
            semantics: 'auth' as const,
            sees: seesAll ? ('every-use' as const) : ('samples' as const),
            from: from.value,
            to: to.value,
          },
        ]
      : []),
  ]
}
