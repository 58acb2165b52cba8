import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import {
  applyChange,
  approveChange,
  approveRequest,
  Change,
  listChanges,
  issueTicket,
  listRequests,
  readGrant,
  readRequest,
  requestAccess,
  revokeGrant,
  withdrawRequest,
  type RequestAccess,
} from '../../src/access/contract.ts'
import type { z } from 'zod'
import { updateTarget } from '../../src/catalog/contract.ts'
import { activatePolicies, listPolicyVersions, proposePolicies, readPolicyVersion } from '../../src/policy/contract.ts'
import { listLeases } from '../../src/credentials/contract.ts'
import { eventually } from '../support/eventually.ts'
import type { FaultNode } from './node.ts'
import type { Plant } from './plant.ts'

/** An entry that must be in the ledger since somebody was told what it says: its kind, and whose it is. */
export type Told = { readonly kind: string; readonly about: string }

/** One privileged act, as far as it came. */
export type Story = {
  readonly told: Told[]
  /** Rows whose insertion was acknowledged to the client. */
  readonly written: string[]
  request?: string
  grant?: string
}

export function newStory(): Story {
  return { told: [], written: [] }
}

/** Has the target and the policies changed under approval, then asks, approves, comes in, works, is refused something, is revoked in the middle, and waits until nothing stands any more. */
export async function live(plant: Plant, node: FaultNode, story: Story): Promise<void> {
  await changeTarget(plant, node, story)
  await changePolicies(plant, node, story)
  await obtain(plant, node, story)
  const { grant = '' } = story
  const ticket = await ticketFor(plant, node, grant)
  story.told.push({ kind: 'ticket.issued', about: grant })
  const nowhere = await failureOf(connect(node, ticket, 'nowhere'))
  assert.match(nowhere, /works in: postgres/)
  story.told.push({ kind: 'grant.use-released', about: grant })
  const client = await connect(node, ticket)
  story.told.push({ kind: 'session.opened', about: grant })
  const ended = new Promise((resolve) => client.once('end', resolve))
  await write(client, story)
  assert.match(await failureOf(client.query('drop table orders')), /postgres\.schema/)
  const query = failureOf(client.query('select pg_sleep(60)'))
  await revoke(plant, node, story)
  assert.match(await query, /revoked/)
  await ended
  await eventually(async () => ((await leaseStates(plant, node, grant)).every((s) => s === 'dead') ? true : undefined))
}

/** A call that others have to approve: asked by Bob, approved by Carol, applied. */
async function changeTarget(plant: Plant, node: FaultNode, story: Story): Promise<void> {
  using bob = plant.as('bob', node)
  const input = { businessService: 'orders' }
  const given = { params: { target: 'orders' }, input, requestApproval: 'the service has a name' }
  const change = Change.parse(await bob.call(updateTarget, given))
  story.told.push({ kind: 'change.requested', about: change.id })
  await carryOut(plant, node, story, change)
}

/** Another version of the policies, which changes nothing for anybody: proposed and asked by Ada, approved by Erin, applied. */
async function changePolicies(plant: Plant, node: FaultNode, story: Story): Promise<void> {
  using ada = plant.as('ada', node)
  const { items } = await ada.ask(listPolicyVersions)
  const active = items.find(({ isActive }) => isActive)?.id ?? ''
  const { files } = await ada.ask(readPolicyVersion, { params: { version: active } })
  const text = `@id("own-${randomUUID()}") forbid (principal, action, resource is Reeve::Target) when { resource.name == "no" };`
  const others = files.filter(({ name }) => name !== 'own.cedar')
  const { id } = await ada.ask(proposePolicies, { input: { files: [...others, { name: 'own.cedar', text }] } })
  story.told.push({ kind: 'policies.proposed', about: id })
  const given = { params: { version: id }, requestApproval: 'nothing changes' }
  const change = Change.parse(await ada.call(activatePolicies, given))
  story.told.push({ kind: 'change.requested', about: change.id })
  await carryOut(plant, node, story, change)
  story.told.push({ kind: 'policies.activated', about: id })
}

/** Brings a change to its end from wherever it stands. */
async function carryOut(plant: Plant, node: FaultNode, story: Story, change: Change): Promise<void> {
  const { id, boundSha256 } = change
  const params = { change: id }
  const [asker, approver] =
    change.operation === activatePolicies.id ? (['ada', 'erin'] as const) : (['bob', 'carol'] as const)
  if (change.state === 'pending') {
    using another = plant.as(approver, node)
    assert.equal((await another.ask(approveChange, { params, input: { boundSha256 } })).state, 'approved')
  }
  story.told.push({ kind: 'change.approved', about: id })
  using own = plant.as(asker, node)
  const applied = await own.ask(applyChange, { params })
  assert.equal(applied.change.state, 'used')
  story.told.push({ kind: 'change.used', about: id })
}

/** To a live grant: asked by Bob, approved by Carol. */
async function obtain(plant: Plant, node: FaultNode, story: Story): Promise<void> {
  using bob = plant.as('bob', node)
  const { id } = await bob.ask(requestAccess, { input: WRITE })
  story.request = id
  story.told.push({ kind: 'access.requested', about: id })
  await approve(plant, node, story, id)
}

async function approve(plant: Plant, node: FaultNode, story: Story, id: string): Promise<void> {
  using carol = plant.as('carol', node)
  const { boundSha256 } = await carol.ask(readRequest, { params: { request: id } })
  const granted = await carol.ask(approveRequest, { params: { request: id }, input: { boundSha256 } })
  assert.equal(granted.state, 'granted')
  story.grant = granted.grantId ?? ''
  story.told.push({ kind: 'access.approved', about: id }, { kind: 'grant.made', about: story.grant })
}

const WRITE: z.input<typeof RequestAccess> = {
  target: 'orders',
  account: 'app',
  actions: ['postgres.read', 'postgres.write'],
  purpose: 'support',
  reason: 'a customer asked',
  ttlSeconds: 900,
  uses: 10,
}

export const READ = { ...WRITE, actions: ['postgres.read'], reason: undefined, uses: undefined }

/** A ticket as the password of `app@orders`. */
export async function ticketFor(plant: Plant, node: FaultNode, grant: string, isSingleUse = false): Promise<string> {
  using bob = plant.as('bob', node)
  return (await bob.ask(issueTicket, { params: { grant }, input: { isSingleUse } })).ticket
}

/** A grant that lets Bob read, which nobody has to approve. */
export async function readingGrant(
  plant: Plant,
  node: FaultNode,
  more: Partial<z.input<typeof RequestAccess>> = {},
): Promise<string> {
  using bob = plant.as('bob', node)
  const { grantId } = await bob.ask(requestAccess, { input: { ...READ, ...more } })
  assert.ok(grantId)
  return grantId
}

export async function connect(
  node: FaultNode,
  password: string,
  database = 'postgres',
  user = 'app@orders',
): Promise<pg.Client> {
  const { gatewayPort: port, authority: ca } = node
  const client = new pg.Client({ host: '127.0.0.1', port, user, password, database, ssl: { ca } })
  // Whoever waits for a query hears of the end there.
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** A written row is told when the client was told. */
export async function write(client: pg.Client, story: Story): Promise<void> {
  const id = randomUUID()
  await client.query('insert into orders values ($1)', [id])
  story.written.push(id)
}

export async function revoke(plant: Plant, node: FaultNode, story: Story): Promise<void> {
  const { grant = '' } = story
  using carol = plant.as('carol', node)
  await carol.ask(revokeGrant, { params: { grant }, input: { reason: 'done with it' } })
  story.told.push({ kind: 'grant.ended', about: grant })
}

export async function leaseStates(plant: Plant, node: FaultNode, grantId: string): Promise<string[]> {
  using ada = plant.as('ada', node)
  return (await ada.ask(listLeases, { query: { grantId } })).items.map(({ state }) => state)
}

/** The sentence of what should fail. */
export async function failureOf(act: Promise<unknown>): Promise<string> {
  return act.then(
    () => assert.fail('it went through'),
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
}

/**
 * After a crash: whatever the story had come to is still true at another node. A pending request can be approved, a live grant can be used
 * and ended, one that ended stays ended. `mayBeUsed` is false while a lease that nobody finished making is still waited for.
 */
export async function goOn(plant: Plant, node: FaultNode, story: Story, mayBeUsed: boolean): Promise<void> {
  using ada = plant.as('ada', node)
  using bob = plant.as('bob', node)
  // What was used is used, and what was not can be: once.
  for (const state of ['pending', 'approved'] as const) {
    const { items } = await bob.ask(listChanges, { query: { state } })
    for (const change of items) await carryOut(plant, node, story, change)
  }
  if (story.request !== undefined) {
    const request = await ada.ask(readRequest, { params: { request: story.request } })
    if (request.state === 'pending') await approve(plant, node, story, request.id)
    else story.grant ??= request.grantId ?? ''
    assert.ok(story.grant, `the request is ${request.state}`)
    const grant = await ada.ask(readGrant, { params: { grant: story.grant } })
    const isTold = story.told.some(({ kind }) => kind === 'grant.ended')
    if (isTold) assert.ok(grant.endedAt)
    if (grant.endedAt === null) {
      if (mayBeUsed) await use(plant, node, story)
      await revoke(plant, node, story)
    }
  }
  // One whose asking was not acknowledged may be there or not; whoever asked can take it back.
  const { items } = await bob.ask(listRequests, { query: { state: 'pending' } })
  for (const { id } of items) await bob.ask(withdrawRequest, { params: { request: id } })
}

async function use(plant: Plant, node: FaultNode, story: Story): Promise<void> {
  const client = await connect(node, await ticketFor(plant, node, story.grant ?? ''))
  await write(client, story)
  await client.end()
}
