import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { RULES, type RuleName } from './kind.ts'

const Sha256 = shown(z.string().length(64).describe('hexadecimal'))
const Count = shown(z.int())

function eventsOf<const N extends RuleName>(name: N, called: string) {
  return {
    proposed: event(`${name}.proposed`, `A version of ${called} was kept; it decides nothing yet.`, {
      sha256: Sha256,
      origin: shown(z.enum(['shipped', 'proposed'])),
      files: shown(z.array(z.object({ name: z.string(), sha256: z.string() }))),
      count: Count.describe('how many policies, teams, spans or entries it has'),
      note: Reason.nullable(),
    }),
    activated: event(`${name}.activated`, `A version of ${called} decides from here on.`, {
      sha256: Sha256,
      versionId: Id,
      seq: Count,
      before: Sha256.nullable().describe('of the version that decided until then'),
      isRevert: shown(z.boolean()),
    }),
  }
}

export const ruleEventsOf = {
  policies: eventsOf('policies', 'the policies'),
  teams: eventsOf('teams', 'the teams'),
  calendar: eventsOf('calendar', 'the calendar'),
  catalog: eventsOf('catalog', 'the catalog of actions'),
}

export const ruleEvents = RULES.flatMap((name) => Object.values(ruleEventsOf[name]))
