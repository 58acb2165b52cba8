import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { z } from 'zod'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { unknown, type Observation } from '../../connectors/connector.ts'
import { openDatabase, type Connection } from '../../kernel/db.ts'
import { linkTo } from '../../kernel/entity.ts'
import { silentLog } from '../../kernel/log.ts'
import { credential, key, resource } from '../graph/graph.fixture.ts'
import { FindingDetail, FindingPage, FindingQuery } from './contract.ts'
import { evaluateFindings } from './evaluate.ts'
import { findingResource, listFindings, readFinding } from './lists.ts'
import { loadAccountFacts } from './facts/record.ts'

const FIRST = '00000000-0000-0000-0000-000000000000'
const signal = new AbortController().signal

test('attack: names as long as sources may tell them keep no finding out of the list', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const names = Array.from({ length: 10 }, (_, at) => `${at}${'x'.repeat(299)}`)
  toy.scopes.set('people', [names.map((name) => toyPrincipal(name, { name }))])
  toy.scopes.set('keys', [
    names.map((name) => credential(`key ${name}`, name, { name: `key ${name}`.slice(0, 300) }, [key('shared')])),
  ])
  await i.collect(await i.source(toy.connector, {}))
  await evaluateFindings(i.w.db, i.w.needs, signal)

  const page = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ rule: 'shared-credential' }))
  const [first] = page.items
  const detail = await readFinding(i.w.db, first?.id ?? '')

  assert.equal(z.encode(FindingPage, page).items.length, 10)
  assert.equal(z.encode(FindingDetail, detail).evidence.length, 1)
  assert.match(first?.evidence.join() ?? '', /held by 0x+/)
})

test('attack: who answers for a server of tools does not accept alone what is found on its tools', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('tools', [[resource('wiki', 'mcp-server', { facts: { isPublic: true } })]])
  await i.collect(await i.source(toy.connector, {}))
  await evaluateFindings(i.w.db, i.w.needs, signal)

  const { items } = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ rule: 'open-tool-server' }))
  const { attributes } = await findingResource(i.w.db, items[0]?.id ?? '')

  assert.deepEqual(attributes['ownerTeam'], linkTo('Team', 'payments'))
  assert.deepEqual([items[0]?.subject.name, items[0]?.subject.source], ['wiki', 'source-1'])
})

test('attack: who uses a privileged login before and after a session of the same day is not hidden by it', async (t) => {
  const i = await inventoryWorld(t)
  await i.w.target('db')
  const toy = toySource()
  toy.scopes.set('roles', [[toyPrincipal('root', { name: 'root', facts: { isSuperuser: true, canLogIn: true } })]])
  const day = new Date(i.w.clock.now().getTime() - 3 * 86_400_000).toISOString().slice(0, 10)
  const used = (address: string, time: string): Observation => ({
    kind: 'usage',
    subject: { kind: 'toy', id: 'root' },
    semantics: 'auth',
    at: new Date(`${day}T${time}:00Z`),
    count: 1,
    from: { address },
    actor: unknown('unsupported'),
  })
  toy.feeds.add('log')
  toy.scopes.set('log', [
    [
      used('10.0.0.1', '12:10'),
      used('10.0.0.1', '12:50'),
      used('10.6.6.6', '03:00'),
      used('10.6.6.6', '12:30'),
      used('10.6.6.6', '18:00'),
    ],
  ])
  await i.collect(await i.source(toy.connector, {}, { target: 'db' }))
  await brokered(i.w.database.owner, `${day}T12:00:00Z`, `${day}T13:00:00Z`)
  const [root] = await loadAccountFacts(i.w.db, { after: FIRST, limit: 10, now: i.w.clock.now() })

  assert.deepEqual(
    root?.outside.map(({ address }) => address),
    ['10.6.6.6'],
  )
})

/** A session of the only account, without the grant and the proof that a real one has. */
async function brokered(owner: Connection, from: string, to: string): Promise<void> {
  await using opened = openDatabase(owner, { max: 1, log: silentLog })
  const { db } = opened
  const drop = ['grant', 'subject', 'node', 'proof'].map((each) => `drop constraint ${each}_fkey`)
  await sql.raw(`alter table session ${drop.join()}, disable trigger user`).execute(db)
  await sql`
    insert into session (id, grant_id, subject_id, target_id, account_id, node_id, gateway, client_address, proof_id, started_at, ended_at, end_reason, cause)
    select a.id, a.id, a.id, a.target_id, a.id, a.id, 'postgres', '10.0.0.9', a.id, ${from}, ${to}, 'done', a.cause from account a`.execute(
    db,
  )
}
