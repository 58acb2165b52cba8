import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createSecureContext, TLSSocket } from 'node:tls'
import { test } from 'node:test'
import { openAuthority } from '../../kernel/ca.ts'
import { systemClock } from '../../kernel/clock.ts'
import { systemRandom } from '../../kernel/random.ts'
import { ReadMemory } from './read-memory.ts'

test('memory that is lent is not read into until it came back', () => {
  const memory = new ReadMemory()
  const first = memory.next()

  assert.equal(memory.next(), first)
  memory.lend()
  const second = memory.next()
  memory.lend()
  const third = memory.next()
  assert.equal(new Set([first, second, third]).size, 3)
  memory.takeBack()
  memory.lend()
  assert.ok([first, second].includes(memory.next()))
})

// What `session.ts` rests on; another version of Node may do it otherwise, and this says so.
test('TLS has taken the bytes of a first write when it returns', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-tls-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const authority = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const { key, cert } = await authority.issueServer(['localhost'])
  const secureContext = createSecureContext({ key: key.reveal(), cert })
  const sizeBytes = 4 * 1024 * 1024
  const server = createServer((raw) => {
    const socket = new TLSSocket(raw, { isServer: true, secureContext })
    socket.once('secure', () => {
      const bytes = Buffer.alloc(sizeBytes, 1)
      socket.end(bytes)
      bytes.fill(2)
    })
  }).listen(0)
  t.after(() => server.close())
  await once(server, 'listening')

  const client = connect({
    port: (server.address() as AddressInfo).port,
    ca: authority.certificate,
    servername: 'localhost',
  })
  let ones = 0
  client.on('data', (chunk: Buffer) => (ones += chunk.filter((byte) => byte === 1).length))
  await once(client, 'end')

  assert.equal(ones, sizeBytes)
})
