import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Connection } from '../../src/kernel/db.ts'

/** The same database through a socket that can be cut: the client sees a broken network, the server goes on with what it was told. */
export async function cuttable(
  t: Pick<TestContext, 'after'>,
  connection: Connection,
): Promise<{ connection: Connection; cut: () => void; shut: () => void; reopen: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-cut-'))
  const clients = new Set<Socket>()
  const servers = new Set<Socket>()
  let isShut = false
  const cut = () => {
    for (const client of clients) client.destroy()
    clients.clear()
  }
  const proxy = createServer((client) => {
    if (isShut) {
      client.destroy()
      return
    }
    const address = connection.host.startsWith('/')
      ? { path: join(connection.host, `.s.PGSQL.${connection.port}`) }
      : { host: connection.host, port: connection.port }
    const server = connect(address)
    clients.add(client)
    servers.add(server)
    for (const socket of [client, server]) socket.on('error', () => undefined)
    client.on('data', (bytes) => server.write(bytes))
    server.on('data', (bytes) => client.destroyed || client.write(bytes))
    client.on('end', () => server.end())
    server.on('close', () => client.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(join(folder, '.s.PGSQL.5432'), resolve))
  t.after(() => {
    for (const socket of [...clients, ...servers]) socket.destroy()
    proxy.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    connection: { ...connection, host: folder, port: 5432 },
    cut,
    /** Cuts, and lets nobody connect again until it is reopened. */
    shut() {
      isShut = true
      cut()
    },
    reopen() {
      isShut = false
    },
  }
}
