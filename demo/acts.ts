import { approveRequest, finishGrant, requestAccess, revokeGrant, type AccessRequest } from '../src/access/contract.ts'
import { ApiProblem } from '../src/cli/problems.ts'
import type { Client } from '../src/cli/client.ts'
import { listLeases, type Lease } from '../src/credentials/contract.ts'
import { sleep } from '../src/kernel/timer.ts'
import type { Cast } from './people.ts'
import { doorOf, withKey, withTicket } from './database-client.ts'
import { ms, type Evidence } from './evidence.ts'
import { rolesLike, type Production } from './production.ts'
import type { RunningServer } from '../src/server.ts'

export type Stage = {
  readonly evidence: Evidence
  readonly server: RunningServer
  readonly production: Production
  readonly cast: Cast
}

/** A pipeline's migration: nobody is in the loop; its proof, purpose, ticket and window decide. */
export async function migrationByPipeline(stage: Stage): Promise<string> {
  const { evidence, server, cast } = stage
  evidence.step('A pipeline migrates the schema: gated by policy, no person in the loop')
  const asked = {
    target: 'shop-db',
    account: 'app',
    actions: ['postgres.read', 'postgres.write', 'postgres.schema'],
    purpose: 'shop-releases',
    ttlSeconds: 600,
    task: 'release 2026.47',
  }
  const without = await refused(() => cast.pipeline.ask(requestAccess, { input: asked }))
  evidence.prove('without a ticket it is refused', without !== undefined, sentence(without))
  const askedAt = performance.now()
  const request = await cast.pipeline.ask(requestAccess, { input: { ...asked, ticket: 'OPS-4711' } })
  evidence.prove(
    'with one it is granted at once',
    request.state === 'granted',
    `decision in ${ms(askedAt)}, policies ${policiesOf(request)}`,
  )
  const grantId = request.grantId ?? ''
  const client = await withKey(cast.pipeline, doorOf(server), grantId)
  evidence.tell(
    `first byte ${ms(askedAt)} after asking, as an ephemeral role: ${(await leaseOf(cast.ada, grantId))?.principal ?? '?'}`,
  )
  await client.query('begin')
  await client.query(`alter table shop.orders add column channel text not null default 'web'`)
  await client.query('create index orders_channel on shop.orders (channel)')
  await client.query('commit')
  const { rows } = await client.query(
    `select tableowner from pg_tables where schemaname = 'shop' and tablename = 'orders'`,
  )
  evidence.prove(
    'what it made belongs to the group role, not to the ephemeral one',
    rows[0]?.tableowner === 'shop_owner',
  )
  await client.end()
  await cast.pipeline.ask(finishGrant, { params: { grant: grantId } })
  await provenDead(stage, grantId)
  return grantId
}

/** A person's admin act in production: another person of the owner team must approve exactly this. */
export async function adminActByPerson(
  stage: Stage,
): Promise<{ grantId: string; client: Awaited<ReturnType<typeof withTicket>> }> {
  const { evidence, server, cast } = stage
  evidence.step('A person administers production: somebody else approves exactly what was shown')
  const request = await cast.carol.ask(requestAccess, {
    input: {
      target: 'shop-db',
      account: 'app',
      actions: ['postgres.read', 'postgres.privilege'],
      purpose: 'shop-operations',
      reason: 'The reporting service needs to read the new column.',
      ttlSeconds: 900,
    },
  })
  evidence.prove(
    'the request waits for the owner team',
    request.state === 'pending',
    request.obligations.approval.join(' and '),
  )
  const approve = (who: Client, boundSha256: string) =>
    who.ask(approveRequest, { params: { request: request.id }, input: { boundSha256 } })
  const own = await refused(() => approve(cast.carol, request.boundSha256))
  evidence.prove('Carol cannot approve her own request', own !== undefined, sentence(own))
  const changed = await refused(() => approve(cast.bob, '0'.repeat(64)))
  evidence.prove('an approval of something else does not count', changed !== undefined, sentence(changed))
  const approvedAt = performance.now()
  const granted = await approve(cast.bob, request.boundSha256)
  evidence.prove('Bob approves, and the grant is there', granted.state === 'granted')
  const grantId = granted.grantId ?? ''
  const client = await withTicket(cast.carol, doorOf(server), grantId)
  evidence.tell(`approval to first byte: ${ms(approvedAt)}`)
  await client.query('grant select on shop.orders to reports_legacy')
  evidence.prove('the admin act went through', true, 'grant select on shop.orders to reports_legacy')
  return { grantId, client }
}

/** What the grant does not cover is refused with the sentence that says what to request, and nothing half happens. */
export async function outsideTheGrant(
  { evidence }: Stage,
  client: Awaited<ReturnType<typeof withTicket>>,
): Promise<void> {
  evidence.step('The same person tries what the grant does not cover')
  await client.query('begin')
  await client.query('select 1')
  const error = await failure(client.query('drop table shop.orders'))
  evidence.prove('it is refused', error?.code === '42501', error?.message ?? '')
  const ended = await client.query('commit')
  evidence.prove(
    'the transaction knows that it failed',
    ended.command === 'ROLLBACK',
    `commit answered ${ended.command}`,
  )
  const { rows } = await client.query<{ count: string }>('select count(*) from shop.orders')
  evidence.prove('nothing is lost', rows[0]?.count === '200000', `${rows[0]?.count ?? '?'} orders`)
}

/** The end of a grant reaches a query that runs. */
export async function revokedInMidQuery(
  stage: Stage,
  { grantId, client }: Awaited<ReturnType<typeof adminActByPerson>>,
): Promise<void> {
  const { evidence, cast } = stage
  evidence.step('Bob revokes the grant in the middle of a query')
  const query = failure(client.query('select count(*) from shop.orders a, shop.orders b where a.amount < b.amount'))
  const closed = new Promise<number>((resolve) => client.once('end', () => resolve(performance.now())))
  await sleep(300)
  const revokedAt = performance.now()
  await cast.bob.ask(revokeGrant, { params: { grant: grantId }, input: { reason: 'The report is wrong; stop.' } })
  const answeredAt = performance.now()
  const error = await query
  const cutAt = await closed
  evidence.prove('the client is told why', error?.code === '57P01', error?.message ?? '')
  evidence.tell(`end to cut: ${ms(revokedAt, cutAt)} from asking (the API answered after ${ms(revokedAt, answeredAt)})`)
  await provenDead(stage, grantId)
  const again = await refused(() => withTicket(cast.carol, doorOf(stage.server), grantId))
  evidence.prove('the grant opens nothing any more', again !== undefined, sentence(again))
}

/** A lease stays an open obligation until a negative probe proves it dead (rule 6). */
async function provenDead({ evidence, cast, production }: Stage, grantId: string): Promise<void> {
  const startedAt = performance.now()
  let lease = await leaseOf(cast.ada, grantId)
  for (let tries = 0; lease?.state !== 'dead' && tries < 200; tries += 1) {
    await sleep(50)
    lease = await leaseOf(cast.ada, grantId)
  }
  evidence.prove(
    'the ephemeral role is proven dead',
    lease?.state === 'dead',
    `${ms(startedAt)}, ${JSON.stringify(lease?.evidence)}`,
  )
  const left = await rolesLike(production.cluster, `^${lease?.principal ?? 'reeve_'}$`)
  evidence.prove('the cluster itself knows no such role', left.length === 0)
}

async function leaseOf(client: Client, grantId: string): Promise<Lease | undefined> {
  const { items } = await client.ask(listLeases, { query: { grantId } })
  return items[0]
}

function policiesOf(request: AccessRequest): string {
  return request.policies.map(({ id }) => id).join(', ')
}

/** What was thrown, where something should be. */
export async function refused(act: () => Promise<unknown>): Promise<unknown> {
  try {
    await act()
    return undefined
  } catch (error) {
    return error
  }
}

async function failure(query: Promise<unknown>): Promise<{ code?: string; message: string } | undefined> {
  const error = await refused(() => query)
  return error instanceof Error ? error : undefined
}

function sentence(error: unknown): string {
  if (error instanceof ApiProblem) return error.message
  return error instanceof Error ? error.message : ''
}
