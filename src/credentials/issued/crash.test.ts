import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { handedLeaseWriter, type HandedOrder } from '../../../test/support/handed-lease.ts'
import { cleaningOfFile } from '../../../test/support/installation.ts'
import { leaseFor } from '../lease-for.ts'
import { leaseSite, never } from '../lease.fixture.ts'
import { settleObligations } from '../obligations.ts'
import type { LeaseGrant } from '../terms.ts'
import { clusterIn, openStub, vaultIn, type Stub, type StubCluster, type StubVault } from './stub.fixture.ts'

// The targets are stubs here; test/interop/ has the real ones.
const site = leaseSite('createrole')
const cleaning = cleaningOfFile()
/** Targets that are stubs here. */
type Stubbed = Exclude<HandedOrder['kind'], 'mysql'>

let stubs: Record<Stubbed, Stub>
let cluster: StubCluster
let vault: StubVault

before(async () => {
  stubs = { kubernetes: await openStub(cleaning), openbao: await openStub(cleaning) }
  cluster = clusterIn(stubs.kubernetes)
  vault = vaultIn(stubs.openbao)
})
after(() => cleaning.now())

type Dying = { readonly point: string; readonly work: 'make' | 'end'; readonly kind: Stubbed }

async function dieAt({ point, work, kind }: Dying, grant: LeaseGrant, nodeId?: string): Promise<string | null> {
  const database = { ...site.home.server, password: site.home.server.password.reveal() }
  const script = join(import.meta.dirname, '../../../test/support/lease-crash.ts')
  const handed = { kind, url: stubs[kind].url }
  const child = spawn(process.execPath, [script, JSON.stringify({ database, point, work, grant, nodeId, handed })], {
    stdio: 'inherit',
  })
  const [, killedBy] = await once(child, 'exit')
  return killedBy
}

const settingOf = async (kind: Stubbed) => {
  const { clock, needs, here } = await site.setting()
  return { clock, here, needs: { ...needs, writers: [handedLeaseWriter({ kind, url: stubs[kind].url }, clock)] } }
}

/** What still works at the stub. */
const alive = (kind: Stubbed) =>
  kind === 'kubernetes'
    ? [...cluster.tokens.values()].filter((uid) => [...cluster.secrets.values()].includes(uid)).length
    : vault.leases.size

for (const kind of ['kubernetes', 'openbao'] as const) {
  const points = [
    'lease.announced',
    ...(kind === 'openbao' ? ['lease.kept'] : []),
    'lease.created-upstream',
    'lease.issued',
  ]
  for (const point of points) {
    test(`${kind}: a process killed at ${point} leaves nothing that works once its grant is over`, async () => {
      const { clock, needs, here } = await settingOf(kind)
      const given = await here.grant()
      const nodeId = await site.node(clock.now())

      assert.equal(await dieAt({ point, work: 'make', kind }, given, nodeId), 'SIGKILL')
      clock.ahead(16)
      await settleObligations(site.home.db, needs, never)
      const lease = await leaseFor(site.home.db, needs, given, never)
      assert.equal(alive(kind), 1)
      await here.endGrant(given.id)
      await settleObligations(site.home.db, needs, never)

      assert.equal(alive(kind), 0)
      assert.ok(lease.secret.reveal().length > 0)
      const rows = await site.home.db.selectFrom('lease').select('state').where('grantId', '=', given.id).execute()
      assert.ok(rows.every(({ state }) => state === 'dead'))
    })
  }

  for (const point of ['lease.end-claimed', 'lease.proven', 'lease.dead']) {
    test(`${kind}: a process killed at ${point} leaves an obligation that another one meets`, async () => {
      const { clock, needs, here } = await settingOf(kind)
      const given = await here.grant()
      await leaseFor(site.home.db, needs, given, never)
      await here.endGrant(given.id)

      assert.equal(await dieAt({ point, work: 'end', kind }, given), 'SIGKILL')
      clock.ahead(90)
      await settleObligations(site.home.db, needs, never)

      const row = await site.rowOf(given.id)
      assert.deepEqual([row.state, row.sealedSecret, alive(kind)], ['dead', null, 0])
    })
  }
}
