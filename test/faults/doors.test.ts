import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { finishGrant } from '../../src/access/contract.ts'
import { eventually } from '../support/eventually.ts'
import { closers } from '../support/lease-world.ts'
import { found, type Plant } from './plant.ts'
import type { FaultNode } from './node.ts'
import { connect, failureOf, leaseStates, readingGrant, ticketFor } from './story.ts'

let plant: Plant
let node: FaultNode
const closing = closers()

before(async () => {
  const founded = await found(closing)
  plant = founded.plant
  node = founded.first
})
after(() => closing.close())

test('a ticket for one use works once, and its replay is told so', async () => {
  const ticket = await ticketFor(plant, node, await readingGrant(plant, node), true)
  const client = await connect(node, ticket)

  const said = await failureOf(connect(node, ticket))

  assert.match(said, /^The ticket was for one use and was used at /)
  await client.end()
})

test('of a ticket whose grant is over the sentence says since when and why', async () => {
  const grant = await readingGrant(plant, node)
  const ticket = await ticketFor(plant, node, grant)
  using bob = plant.as('bob', node)
  await bob.ask(finishGrant, { params: { grant } })

  const said = await failureOf(connect(node, ticket))

  assert.match(said, /^The grant ended at \S+ \(done\)\. Request again/)
})

test('nothing says whether a ticket, a target or an account exists', async () => {
  const ticket = await ticketFor(plant, node, await readingGrant(plant, node))
  const made = `rvt_${'A'.repeat(43)}`
  const attempts: [user: string, password: string][] = [
    ['app@orders', made],
    ['app@elsewhere', ticket],
    ['app@nowhere', ticket],
    ['app@nowhere', made],
    ['root@orders', ticket],
    ['root@orders', made],
  ]

  const said = await Promise.all(
    attempts.map(([user, password]) => failureOf(connect(node, password, 'postgres', user))),
  )

  assert.equal(new Set(said).size, 1)
  assert.match(said[0] ?? '', /opens nothing here/)
})

test('a target that is down is named, nothing is used up, and its leases die when it is back', async () => {
  const grant = await readingGrant(plant, node, { connections: 1 })
  const client = await connect(node, await ticketFor(plant, node, grant))
  const cut = new Promise((resolve) => client.once('end', resolve))
  const ticket = await ticketFor(plant, node, grant)
  const fresh = await readingGrant(plant, node)
  const other = await ticketFor(plant, node, fresh)

  await plant.cluster.stop()
  await cut
  const known = await eventually(async () => {
    const said = await failureOf(connect(node, ticket))
    return /connection\(s\) at once/.test(said) ? undefined : said
  })
  const unknown = await failureOf(connect(node, other))
  using bob = plant.as('bob', node)
  await bob.ask(finishGrant, { params: { grant: fresh } })
  const waiting = await leaseStates(plant, node, fresh)
  await plant.cluster.restart()
  const back = await eventually(() => connect(node, ticket).catch(() => undefined))

  assert.match(known, /^The target orders could not be reached/)
  assert.match(unknown, /target could not issue a credential/)
  assert.ok(waiting.every((state) => state === 'ending'))
  assert.equal((await back.query('select count(*) from orders')).rows.length, 1)
  await back.end()
  await eventually(async () =>
    (await leaseStates(plant, node, fresh)).every((state) => state === 'dead') ? true : undefined,
  )
})
