import { createServer } from 'node:http'
import type { TestContext } from 'node:test'
import pg from 'pg'
import type { TestDatabase } from '../../../test/support/database.ts'
import { movableClock } from '../../../test/support/lease-world.ts'
import { kept, rotationNeeds, type Kept } from '../../../test/support/rotation-world.ts'
import { permitFor } from '../../../test/support/permit.ts'
import { hmacSha256 } from '../../kernel/crypto.ts'
import { clientConfig, transact } from '../../kernel/db.ts'
import { abortRotation } from './abort.ts'
import { declareConsumer } from './consumer-records.ts'
import type { RotationSite } from './rotation.fixture.ts'

let names = 0

/** An account that two logins of one group take turns in. */
export async function turning(site: RotationSite, { soakSeconds = 0 } = {}) {
  const clock = movableClock()
  const needs = rotationNeeds(clock)
  const name = `turn_${(names += 1)}`
  const account = await kept(site.home.db, needs, site.cluster, { name, group: `${name}_group` })
  const other = `${name}_b`
  await account.configure({ strategy: 'alternating', alternate: other, soakSeconds })
  return { clock, needs, account, other }
}

/** As a person of the tests. */
export function by(site: RotationSite, needs: ReturnType<typeof rotationNeeds>, account: Kept) {
  const subject = { type: 'Person', id: account.here.personId }
  const { db } = site.home
  return {
    abort: (id: string) =>
      transact(db, (tx) =>
        abortRotation(tx, needs, permitFor('rotation.abort', subject, { type: 'Rotation', id }), { reason: 'no' }),
      ),
    declare: (name: string, at: { applicationName?: string; address?: string }) =>
      transact(db, (tx) =>
        declareConsumer(tx, needs, permitFor('consumer.declare', subject, { type: 'Account', id: account.accountId }), {
          name,
          ownerTeam: 'payments',
          reason: 'it holds a copy',
          ...at,
        }),
      ),
  }
}

export const HOOK_KEY = 'a-key-of-a-hook-that-is-long-enough'

/** A stub of an operator's hook: it keeps what it was sent, and signs its answer unless it is told to lie. */
export async function hookServer(t: Pick<TestContext, 'after'>) {
  const heard: { body: string; signature: string | undefined }[] = []
  const hook = { heard, url: '', answer: (_nonce: string): string | undefined => undefined }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      heard.push({ body, signature: String(request.headers['reeve-signature']) })
      const { nonce } = JSON.parse(body)
      const honest = hmacSha256(Buffer.from(HOOK_KEY), `acknowledged ${nonce}`).toString('hex')
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ acknowledged: hook.answer(nonce) ?? honest }))
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.after(() => void server.close())
  const at = server.address()
  if (at === null || typeof at === 'string') throw new Error('the hook listens at no port')
  hook.url = `http://127.0.0.1:${at.port}/rotated`
  return hook
}

/** The database of the record as it is now, under another name: what a restore from a backup brings back. */
export async function copyOfRecord({ server, owner }: TestDatabase) {
  const name = `${server.database}_copy`
  const admin = new pg.Client({ ...clientConfig(owner), database: 'postgres' })
  await admin.connect()
  try {
    // A template has no sessions; those of the pool come back by themselves.
    await admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()`,
      [server.database],
    )
    await admin.query(`create database "${name}" template "${server.database}"`)
  } finally {
    await admin.end()
  }
  return { ...server, database: name }
}
