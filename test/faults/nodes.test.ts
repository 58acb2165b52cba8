import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { beatGrant, finishGrant, readGrant, revokeGrant } from '../../src/access/contract.ts'
import { listSessions } from '../../src/sessions/contract.ts'
import { eventually } from '../support/eventually.ts'
import { closers } from '../support/lease-world.ts'
import { found, type Plant } from './plant.ts'
import type { FaultNode } from './node.ts'
import { connect, failureOf, leaseStates, readingGrant, ticketFor } from './story.ts'

const HOUR_MS = 3_600_000

let plant: Plant
let alpha: FaultNode
let beta: FaultNode
const closing = closers()

before(async () => {
  const founded = await found(closing)
  plant = founded.plant
  alpha = founded.first
  beta = await plant.start()
})
after(() => closing.close())

test('a grant that ends on one node cuts its session on another, which says why', async () => {
  const grant = await readingGrant(plant, alpha)
  const client = await connect(alpha, await ticketFor(plant, beta, grant))
  const query = failureOf(client.query('select pg_sleep(60)'))

  using carol = plant.as('carol', beta)
  await carol.ask(revokeGrant, { params: { grant }, input: { reason: 'it is enough' } })

  assert.match(await query, /revoked, with the reason: it is enough/)
  await eventually(async () => ((await leaseStates(plant, beta, grant))[0] === 'dead' ? true : undefined))
})

test('a request to cancel that reaches another node stops the statement, and the session goes on', async () => {
  const grant = await readingGrant(plant, alpha)
  const client = await connect(alpha, await ticketFor(plant, alpha, grant))
  const query = failureOf(client.query('select pg_sleep(60)'))
  await eventually(async () => {
    const [running] = await plant.atTarget(
      `select from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()`,
    )
    return running
  })

  await cancelAt(beta, client)

  assert.match(await query, /canceling statement due to user request/)
  assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
  await client.end()
})

test('a jump of a node’s clock ends no grant and revives none', async () => {
  const living = await readingGrant(plant, alpha, { ttlSeconds: 900 })
  const client = await connect(alpha, await ticketFor(plant, alpha, living))
  const over = await readingGrant(plant, alpha)
  const ticket = await ticketFor(plant, alpha, over)
  using bob = plant.as('bob', beta)
  await bob.ask(finishGrant, { params: { grant: over } })

  for (const shiftMs of [2 * HOUR_MS, -2 * HOUR_MS]) {
    await alpha.order({ shiftMs })
    // Its sweep looks for expired grants each second; the row says what it found.
    await client.query('select pg_sleep(3)')
    const { endedAt } = await bob.ask(readGrant, { params: { grant: living } })
    assert.equal(endedAt, null)
    assert.match(await failureOf(connect(alpha, ticket)), /The grant ended at/)
  }
  await alpha.order({ shiftMs: 0 })

  assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
  await client.end()
  await bob.ask(finishGrant, { params: { grant: living } })
})

test('a grant and an unused ticket run out though the clock of their node was set back', async () => {
  // At tier 0 a ticket waits a minute for its first use: this one's is over before the other grant's is.
  const unused = await ticketFor(plant, alpha, await readingGrant(plant, alpha, { account: 'dba' }))
  const grant = await readingGrant(plant, alpha, { ttlSeconds: 60 })
  const ticket = await ticketFor(plant, alpha, grant)
  const client = await connect(alpha, ticket)
  await alpha.order({ shiftMs: -HOUR_MS })

  const said = await failureOf(client.query('select pg_sleep(100)'))

  assert.match(said, /time of this grant is over/)
  assert.match(await failureOf(connect(alpha, ticket)), /ran out|ended/)
  assert.match(
    await failureOf(connect(alpha, unused, 'postgres', 'dba@orders')),
    /^The ticket had to be used before \S+ Request again/,
  )
  await alpha.order({ shiftMs: 0 })
})

test('a grant whose command stops saying that it lives ends, and its session says so', async () => {
  const grant = await readingGrant(plant, alpha, { isKeptAlive: true })
  const client = await connect(alpha, await ticketFor(plant, alpha, grant))
  using bob = plant.as('bob', beta)
  await bob.ask(beatGrant, { params: { grant } })

  const said = await failureOf(client.query('select pg_sleep(60)'))

  assert.match(said, /stopped saying that it lives/)
  assert.equal((await bob.ask(readGrant, { params: { grant } })).endReason, 'heartbeat-missed')
})

test('of a killed node another closes the sessions and gives back the uses', async () => {
  const grant = await readingGrant(plant, alpha, { connections: 1 })
  const client = await connect(alpha, await ticketFor(plant, alpha, grant))
  const cut = new Promise((resolve) => client.once('end', resolve))
  const further = await ticketFor(plant, beta, grant)
  assert.match(await failureOf(connect(beta, further)), /1 connection/)

  await alpha.kill('SIGKILL')
  await cut

  using ada = plant.as('ada', beta)
  const session = await eventually(async () => {
    const { items } = await ada.ask(listSessions, { query: { grantId: grant } })
    return items.find(({ endedAt }) => endedAt !== null)
  })
  assert.equal(session.endReason, 'node-lost')
  const second = await eventually(() => connect(beta, further).catch(() => undefined))
  assert.deepEqual((await second.query('select 1 as one')).rows, [{ one: 1 }])
  await second.end()
  using bob = plant.as('bob', beta)
  await bob.ask(finishGrant, { params: { grant } })
})

test('a grant whose credential a killed node was making has another, sooner than a living one may take for it', async () => {
  const gamma = await plant.start()
  const grant = await readingGrant(plant, beta)
  const ticket = await ticketFor(plant, beta, grant)
  await gamma.order({ arm: ['lease.announced'] })
  await failureOf(connect(gamma, ticket))
  assert.equal(await gamma.died, 'SIGKILL')

  const client = await eventually(() => connect(beta, ticket).catch(() => undefined))

  assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
  const [abandoned, used] = await plant.look((db) =>
    db.selectFrom('lease').select(['announcedAt', 'endingAt']).where('grantId', '=', grant).orderBy('id').execute(),
  )
  assert.ok(abandoned?.endingAt && used)
  assert.ok(abandoned.endingAt.getTime() - abandoned.announcedAt.getTime() < 60_000)
  await client.end()
  using bob = plant.as('bob', beta)
  await bob.ask(finishGrant, { params: { grant } })
})

const Keys = z.object({ processID: z.int(), secretKey: z.int() })

/** The request as a client sends it (protocol 3.0), to whichever node answers. */
async function cancelAt({ gatewayPort }: FaultNode, client: object): Promise<void> {
  const { processID, secretKey } = Keys.parse({ ...client })
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(80_877_102, 4)
  request.writeInt32BE(processID, 8)
  request.writeInt32BE(secretKey, 12)
  const socket = createConnection({ host: '127.0.0.1', port: gatewayPort })
  socket.end(request)
  socket.resume()
  await once(socket, 'close')
}
