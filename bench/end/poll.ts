import { createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import type { Crowd } from './crowd.ts'
import type { Installation } from './installation.ts'

/** What many products do instead of a push. */
export const POLL_MS = 2_000

/**
 * The peer: connections whose keeper looks every two seconds, each in its own time, whether the row of its grant has ended, and closes
 * then. The same rows, the same ending, the same database; milliseconds from the commit to the client's closed socket.
 */
export async function measurePolling(site: Installation, crowd: Crowd, trials: number): Promise<number[]> {
  const sockets = new Map<string, Socket>()
  await using server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (label: Buffer) => {
      sockets.set(String(label), socket)
      socket.write('.')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const grants = []
  for (let at = 0; at < trials; at += 1) grants.push(await site.grant(`poll ${at}`, 1))
  await crowd.open({ port }, grants)
  return Promise.all(
    grants.map(async ({ label, grantId }, at) => {
      const closed = crowd.closed(label, 1)
      const socket = sockets.get(label)
      // Phases spread evenly over one period, ends spread over the next: any wait is as likely as any other.
      await pause((at / trials) * POLL_MS)
      const timer = setInterval(() => void poll(site, grantId, () => socket?.end()), POLL_MS)
      await pause(POLL_MS * ((at * 0.618) % 1))
      const committedNs = await site.end(grantId)
      const closedNs = await closed
      clearInterval(timer)
      return Number(closedNs - committedNs) / 1e6
    }),
  )
}

async function poll(site: Installation, grantId: string, cut: () => void): Promise<void> {
  const row = await site.server.ground.db
    .selectFrom('accessGrant')
    .select('endedAt')
    .where('id', '=', grantId)
    .executeTakeFirst()
  if (row?.endedAt) cut()
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
