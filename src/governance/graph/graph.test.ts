import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { known, unknown, type Observation } from '../../connectors/connector.ts'
import { forwardFrom } from './forward.ts'
import { lookAtGraph } from './look.ts'

const NOTHING = unknown('unsupported')
const id = (of: string) => ({ kind: 'toy', id: of })

function grant(
  principal: string,
  on: string,
  privilege: string,
  level: 'use' | 'read' | 'write' | 'admin',
  facts = {},
): Observation {
  return {
    kind: 'grant',
    id: { kind: 'right', id: `${principal}/${on}/${privilege}` },
    principal: id(principal),
    on: id(on),
    privilege,
    level,
    grantable: NOTHING,
    grantedBy: NOTHING,
    expiresAt: known('never'),
    facts,
  }
}

function resource(name: string, type: string): Observation {
  return { kind: 'resource', id: id(name), type, name, environment: NOTHING, sensitivity: NOTHING }
}

test('x', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('all', [
    [
      toyPrincipal('anna'),
      toyPrincipal('group'),
      toyPrincipal('boss'),
      toyPrincipal('nobody'),
      resource('cluster', 'postgres-cluster'),
      grant('anna', 'group', 'MEMBER', 'use'),
      grant('group', 'boss', 'MEMBER', 'use', { admin: true, inherit: false, set: false }),
      grant('boss', 'cluster', 'SUPERUSER', 'admin'),
    ],
  ])
  await i.collect(await i.source(toy.connector, {}))
  const needs = { clock: i.w.clock, connection: i.w.database.server }
  const looked = await lookAtGraph(needs, new AbortController().signal)
  console.log(looked, await lookAtGraph(needs, new AbortController().signal))
  const { rows } =
    await sql<any>`select e.*, p.name from escalation e left join observed_principal p on p.id = e.id order by hops`.execute(
      i.w.db,
    )
  console.log(rows)
  const anna = rows.find((r) => r.name === 'toy anna')
  console.log(await forwardFrom(i.w.db, anna.id, i.w.clock.now()))
})
