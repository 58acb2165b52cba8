import pg from 'pg'
import { clientConfig, transact, type Db } from '../../src/kernel/db.ts'
import { event, shown } from '../../src/kernel/event.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { newId, systemRandom } from '../../src/kernel/random.ts'
import { sealUnder } from '../../src/kernel/seal.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { openLedger, SYSTEM } from '../../src/ledger/ledger.ts'
import { z } from 'zod'
import type { Cluster } from './cluster.ts'
import type { CredentialNeeds } from '../../src/credentials/needs.ts'
import { postgresRoleWriter } from '../../src/credentials/postgres/writer.ts'
import type { LeaseGrant } from '../../src/credentials/terms.ts'
import { endLeasesOf } from '../../src/credentials/end-leases.ts'

const staged = event('test.staged', 'A test made what it is about.', { what: shown(z.string()) })

/** Known to a test and to the processes it kills. */
export const ROOT_KEY = new Secret(Buffer.alloc(32, 7))
export const PROVISIONER = 'reeve_provisioner'
export const PROVISIONER_PASSWORD = 'provisioner-of-the-test'

export type FixtureClock = Clock & { ahead(seconds: number): void }

/** The machine's time, which a test may move ahead instead of waiting. */
export function movableClock(): FixtureClock {
  let aheadMs = 0
  return {
    now: () => new Date(systemClock.now().getTime() + aheadMs),
    monotonicMs: () => systemClock.monotonicMs(),
    ahead: (seconds) => {
      aheadMs += seconds * 1000
    },
  }
}

export function credentialNeeds(clock: Clock, nodeId = newId(clock, systemRandom)): CredentialNeeds {
  const seal = sealUnder(ROOT_KEY)
  return {
    nodeId,
    clock,
    seal,
    random: systemRandom,
    log: silentLog,
    ledger: openLedger({ clock, random: systemRandom, seal }),
    writers: [postgresRoleWriter],
  }
}

export type World = {
  readonly targetId: string
  readonly personId: string
  /** A live grant on an account of the target; without `actions` of class read. */
  grant(options?: {
    account?: string
    actions?: string[]
    mode?: 'lease' | 'static'
    databases?: string[]
  }): Promise<LeaseGrant>
  /** Ends it as access does: the row, its entry and its leases in one transaction. */
  endGrant(grantId: string): Promise<void>
}

/** Registers `site` as a target whose accounts are group roles there: `reader`, `writer` and `chief` for the three classes. */
export async function world(
  db: Db,
  needs: CredentialNeeds,
  site: Pick<Cluster, 'host' | 'port'>,
  settings: object = {},
): Promise<World> {
  const id = () => newId(needs.clock, needs.random)
  const make = <T>(what: string, write: (tx: Parameters<typeof endLeasesOf>[0], cause: number) => Promise<T>) =>
    transact(db, async (tx) => {
      const resource = { type: 'Test', id: 'test' }
      const cause = await needs.ledger.record(tx, {
        event: staged,
        actor: SYSTEM,
        resource,
        outcome: 'done',
        facts: { what },
      })
      return write(tx, cause)
    })
  const now = needs.clock.now()
  const later = new Date(now.getTime() + 30 * 86_400_000)
  const [personId, targetId, purposeId] = [id(), id(), id()]
  await make('the world', async (tx, cause) => {
    await tx
      .insertInto('identity')
      .values({
        id: personId,
        kind: 'human',
        name: `p-${personId}`,
        profile: 'person',
        environment: 'production',
        tier: 2,
        ownerState: 'none',
        state: 'active',
        createdAt: now,
        cause,
      })
      .execute()
    const login = JSON.stringify({ user: PROVISIONER, password: PROVISIONER_PASSWORD })
    await tx
      .insertInto('target')
      .values({
        id: targetId,
        name: `t-${targetId}`,
        protocol: 'postgres',
        environment: 'production',
        sensitivity: 1,
        ownerTeam: 'payments',
        settings: JSON.stringify({
          host: site.host,
          port: site.port,
          database: 'postgres',
          tls: { mode: 'disable' },
          ...settings,
        }),
        sealedProvisioner: needs.seal.seal(new Secret(login), `target.sealed_provisioner:${targetId}`),
        createdAt: now,
        cause,
      })
      .execute()
    for (const [name, kind] of [
      ['postgres.read', 'read'],
      ['postgres.write', 'change'],
      ['postgres.admin', 'admin'],
    ] as const) {
      await tx
        .insertInto('privilegedAction')
        .values({ name, protocol: 'postgres', class: kind, tier: 2, summary: name, obligations: '{}', cause })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    }
    await tx
      .insertInto('purpose')
      .values({
        id: purposeId,
        name: `why-${purposeId}`,
        statement: 'a test',
        ownerTeam: 'payments',
        actions: ['postgres.read'],
        state: 'ended',
        proposedBy: personId,
        createdAt: now,
        expiresAt: later,
        cause,
      })
      .execute()
  })
  const accounts = new Map<string, string>()
  const accountOf = async (name: string, mode: 'lease' | 'static', databases: string[]) => {
    const known = accounts.get(`${name} ${mode}`)
    if (known) return known
    const accountId = id()
    await make('an account', async (tx, cause) => {
      const sealed = needs.seal.seal(new Secret('standing-password'), `account.sealed_credential:${accountId}`)
      await tx
        .insertInto('account')
        .values({
          id: accountId,
          targetId,
          name,
          mode,
          tier: 1,
          databases,
          sealedCredential: mode === 'static' ? sealed : null,
          cause,
        })
        .execute()
      if (mode === 'static') return
      for (const [action, role] of [
        ['postgres.read', 'reader'],
        ['postgres.write', 'writer'],
        ['postgres.admin', 'chief'],
      ] as const) {
        await tx.insertInto('accountRole').values({ accountId, action, role, cause }).execute()
      }
    })
    accounts.set(`${name} ${mode}`, accountId)
    return accountId
  }
  return {
    targetId,
    personId,
    async grant({ account = 'app', actions = ['postgres.read'], mode = 'lease', databases = [] } = {}) {
      const accountId = await accountOf(account, mode, databases)
      const [requestId, grantId] = [id(), id()]
      const startsAt = needs.clock.now()
      const expiresAt = new Date(startsAt.getTime() + 3_600_000)
      await make('a grant', async (tx, cause) => {
        const shared = {
          subjectId: personId,
          targetId,
          accountId,
          actions,
          purposeId,
          isKeptAlive: false,
          policyVersion: 'test',
          cause,
        }
        await tx
          .insertInto('accessRequest')
          .values({
            ...shared,
            id: requestId,
            requesterId: personId,
            proof: 'token',
            approverTeams: [],
            askedTtlSeconds: 3600,
            ttlSeconds: 3600,
            connections: 4,
            obligations: '{}',
            policies: '[]',
            parserEnforced: [],
            boundSha256: Buffer.alloc(32),
            state: 'granted',
            createdAt: startsAt,
            decidedAt: startsAt,
            expiresAt,
          })
          .execute()
        await tx
          .insertInto('accessGrant')
          .values({
            ...shared,
            id: grantId,
            requestId,
            recording: 'full',
            parserEnforced: [],
            maxConnections: 4,
            startsAt,
            expiresAt,
          })
          .execute()
      })
      return { id: grantId, targetId, accountId, actions, expiresAt, maxConnections: 4 }
    },
    endGrant: (grantId) =>
      make('the end of a grant', async (tx, cause) => {
        await tx
          .updateTable('accessGrant')
          .set({ endedAt: needs.clock.now(), endReason: 'revoked', cause })
          .where('id', '=', grantId)
          .execute()
        await endLeasesOf(tx, needs, { grantId, cause })
      }),
  }
}

/** Group roles, databases and a provisioner as a company's administrator would set them up. */
export async function furnish(cluster: Cluster, provisioner: 'superuser' | 'createrole'): Promise<void> {
  const admin = await asSuperuser(cluster)
  const { rows } = await admin.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  const isOld = (rows[0]?.version ?? 0) < 160_000
  await admin.query('create role reader; create role writer; create role chief createrole; grant reader to writer')
  await admin.query(`create role ${PROVISIONER} login ${provisioner} password '${PROVISIONER_PASSWORD}'`)
  if (provisioner === 'createrole' && !isOld) {
    await admin.query(`grant reader, writer, chief to ${PROVISIONER} with admin true, inherit true, set true`)
  }
  await admin.query('create database orders')
  await admin.query('create database stock')
  for (const database of ['orders', 'stock']) {
    const inside = await asSuperuser(cluster, database)
    await inside.query('create schema app; grant usage, create on schema app to reader, writer, chief')
    await inside.query(
      'create table app.item (id int); grant select on app.item to reader; grant insert on app.item to writer',
    )
    await inside.query('grant create on schema public to public')
    await inside.end()
  }
  await admin.end()
}

export function asSuperuser(cluster: Cluster, database = 'postgres'): Promise<pg.Client> {
  return connectAs(cluster, undefined, undefined, database)
}

export async function connectAs(
  cluster: Cluster,
  user?: string,
  secret?: Secret,
  database = 'orders',
): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(cluster.connection(user, secret, database)))
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Roles at the target that look like leases. */
export async function leaseRoles(cluster: Cluster): Promise<string[]> {
  const admin = await asSuperuser(cluster)
  const { rows } = await admin.query<{ rolname: string }>(
    `select rolname from pg_roles where rolname ~ '^reeve_[0-9a-f]{16}$'`,
  )
  await admin.end()
  return rows.map((row) => row.rolname)
}

/** Hooks that a `before` of a whole file registers, run by its `after` in reverse order. */
export function closers(): { after(close: unknown): void; close(): Promise<void> } {
  const all: (() => unknown)[] = []
  return {
    after: (close) => {
      if (typeof close === 'function') all.unshift(() => close())
    },
    async close() {
      for (const each of all) await each()
    },
  }
}
