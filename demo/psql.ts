import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Stage } from './acts.ts'
import { finishGrant, issueTicket, requestAccess } from '../src/access/contract.ts'
import { doorOf } from './database-client.ts'

/** An ordinary psql, where there is one: nothing installed, nothing changed. */
export async function psqlByRun(stage: Stage, folder: string): Promise<void> {
  const { evidence, server, cast } = stage
  evidence.step('Any client works unchanged: psql reads production')
  const request = await cast.bob.ask(requestAccess, {
    input: {
      target: 'shop-db',
      account: 'app',
      actions: ['postgres.read'],
      purpose: 'shop-operations',
      ttlSeconds: 300,
    },
  })
  const grant = request.grantId ?? ''
  const { user, ticket } = await cast.bob.ask(issueTicket, { params: { grant }, input: { isSingleUse: true } })
  const { host, port, ca } = doorOf(server)
  const authority = join(folder, 'authority.pem')
  writeFileSync(authority, new X509Certificate(ca).toString())
  const conninfo = `host=${host} port=${port} dbname=shop user=${user} sslmode=verify-full sslrootcert=${authority}`
  const query = 'select channel, count(*) from shop.orders group by channel'
  const found = await run('psql', ['-X', '-At', '-c', query, conninfo], { PGPASSWORD: ticket })
  if (found === undefined) evidence.tell('There is no psql on this machine; the steps above used the pg client.')
  else {
    evidence.prove(
      'psql reads through the gateway',
      found.code === 0 && found.out.trim() === 'web|200000',
      found.out.trim() || found.err.trim(),
    )
    const replay = await run('psql', ['-X', '-At', '-c', query, conninfo], { PGPASSWORD: ticket })
    evidence.prove('a ticket for one use works once', replay?.code === 2, replay?.err.trim().split('\n')[0] ?? '')
  }
  await cast.bob.ask(finishGrant, { params: { grant } })
}

async function run(command: string, args: readonly string[], env: Record<string, string>) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString('utf8')))
  try {
    const [code] = await once(child, 'close')
    return { code: Number(code), out, err }
  } catch (error) {
    const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'EACCES') return undefined
    throw error
  }
}
