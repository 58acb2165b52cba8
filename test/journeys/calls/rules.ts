import { TEAMS } from '../../../demo/people.ts'
import type { Client } from '../../../src/cli/client.ts'
import { calendarVersions, catalogVersions, teamVersions } from '../../../src/policy/contract.ts'
import type { Asked, Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

type Versions = typeof teamVersions | typeof calendarVersions | typeof catalogVersions

/** Versions of the teams, the calendar and the catalog: what decides beside the policies. */
export function ruleRows(stage: Stage): Rows {
  return {
    ...rowsOf(stage, teamVersions, (name) => JSON.stringify({ teams: { ...TEAMS, [name]: { members: [] } } })),
    ...rowsOf(stage, calendarVersions, (name) => `windows: {${name}: {targets: [nowhere]}}`),
    ...rowsOf(stage, catalogVersions, (name) => `actions: {ssh.root: {summary: ${name}}}`),
  }
}

function rowsOf(stage: Stage, of: Versions, textOf: (name: string) => string): Rows {
  const { cast, drone, young } = stage
  const another = async (by: Client): Promise<string> =>
    (await by.ask<Versions['propose']>(of.propose, { input: { text: textOf(stage.name()) } })).id
  const active = async (by: Client): Promise<string> => {
    const { items } = await by.ask<Versions['list']>(of.list)
    return items.find(({ isActive }) => isActive)?.id ?? ''
  }
  const ofAnother = async (by: Client): Promise<Asked> => ({ by, given: { params: { version: await another(by) } } })
  const ofActive = async (by: Client): Promise<Asked> => ({
    by,
    given: { params: { version: await active(cast.bob) } },
  })
  const proposing = (by: Client): Asked => ({ by, given: { input: { text: textOf(stage.name()) } } })
  const rows: Record<string, Row> = {
    [of.propose.id]: { done: () => proposing(cast.ada), refused: () => proposing(cast.bob), as: 'not-permitted' },
    [of.list.id]: { done: () => ({ by: cast.bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    [of.read.id]: { done: () => ofActive(cast.bob), refused: () => ofActive(drone), as: 'not-permitted' },
    [of.activate.id]: {
      // Alone, the founder does; test/journeys/rule-versions.test.ts goes the way of two.
      done: () => ofAnother(young.ada),
      refused: () => ofAnother(cast.ada),
      as: 'approval-owed',
    },
    [of.revert.id]: {
      done: async () => {
        await young.ada.ask<Versions['activate']>(of.activate, { params: { version: await another(young.ada) } })
        return { by: young.ada }
      },
      refused: () => ({ by: cast.bob }),
      as: 'not-permitted',
    },
  }
  return rows
}
