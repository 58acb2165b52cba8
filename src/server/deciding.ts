import type { AccessNeeds } from '../access/access.ts'
import { ENTITY_TYPES, recordedIdentitiesOf, type RecordedIdentities } from '../identities/identities.ts'
import type { PolicyValue } from '../kernel/entity.ts'
import type { Deciders } from '../kernel/http/handle.ts'
import { systemRandom } from '../kernel/random.ts'
import { openView, type View } from '../kernel/view.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { openDecisionPoint, recordFactsOf, type RecordFacts } from '../policy/policy.ts'
import { decisionObserver } from './decisions.ts'
import type { Ground } from './ground.ts'
import type { DomainParts } from './parts.ts'
import type { Rules } from './policies.ts'

/** The two ways of deciding, and what the quicker one remembers. */
export type Deciding = {
  /** By rows: for commands. */
  readonly decisions: AccessNeeds['decisions']
  /** By what this node remembers: for calls as they come in. */
  readonly doors: AccessNeeds['decisions']
  readonly record: RecordFacts
  readonly view: View
  /** Identities as this node remembers them, for what is issued to them. */
  readonly recorded: RecordedIdentities
}

export async function openDeciding(
  { ground, log, stop }: DomainParts,
  ledger: Ledger,
  rules: Rules,
): Promise<Deciding> {
  const { db, connection, clock } = ground
  const observe = decisionObserver(ground, ledger, log)
  const deciding = { engine: rules.engine, teams: rules.teams, clock, random: systemRandom, observe }
  const view = await openView({ connection, db, clock, log }, stop.signal)
  stop.add('view', view)
  const record = recordFactsOf(view)
  return {
    decisions: openDecisionPoint(deciding),
    doors: openDecisionPoint({ ...deciding, record }),
    record,
    view,
    recorded: recordedIdentitiesOf(view, db),
  }
}

/** How the API decides on its calls. */
export function deciders(
  ground: Ground,
  { doors, view }: Pick<Deciding, 'doors' | 'view'>,
): Pick<Deciders, 'decide' | 'settled'> {
  return {
    settled: () => view.caughtUp(),
    decide: (caller, action, resource, context, stepUp) => {
      const reasonGiven = context['reasonGiven'] === true
      return doors.permitSoon(
        ground.db,
        {
          subject: { type: ENTITY_TYPES[caller.kind], id: caller.id, proof: caller.proof },
          action,
          resource,
          context: plain(context),
        },
        {
          reasonGiven,
          ticket: typeof context['ticket'] === 'string' ? context['ticket'] : null,
          ...(stepUp && { stepUp }),
        },
      )
    },
  }
}

/** Routes give plain values; anything else is left out, and a policy that needs it denies. */
function plain(context: Readonly<Record<string, unknown>>): Record<string, PolicyValue> {
  return Object.fromEntries(
    Object.entries(context).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [[name, value]] : [],
    ),
  )
}
