import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import type { Authority } from '../../src/kernel/ca.ts'
import type { Crowd } from './crowd.ts'

const YES = Buffer.from('S')
/** As long as what the gateway says last. */
const LAST_WORD = Buffer.alloc(120, 'E')

/**
 * What cutting so many TLS connections costs by itself on this machine: a bare server that knows them, says a last word to each and closes,
 * in one turn; the same clients, the same process of theirs. Milliseconds from the first call to the last client's closed socket.
 */
export async function measureFloor(
  crowd: Crowd,
  authority: Authority,
  size: { readonly trials: number; readonly count: number },
): Promise<number[]> {
  const sockets = new Set<Socket>()
  const { cert, key } = await authority.issueServer(['localhost', '127.0.0.1'])
  const secureContext = createSecureContext({ cert, key: key.reveal() })
  await using server = createServer((raw) => {
    raw.on('error', () => undefined)
    raw.once('data', () => {
      raw.write(YES)
      const socket = new TLSSocket(raw, { isServer: true, secureContext })
      socket.on('error', () => undefined)
      // The start-up message and the password, each answered by something that lets the client go on.
      socket.on('data', () => socket.write('R'))
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const found: number[] = []
  for (let trial = 0; trial < size.trials; trial += 1) {
    const label = `floor ${trial}`
    await crowd.open({ port, ca: authority.certificate }, [{ label, user: 'nobody', ticket: '-', count: size.count }])
    const closed = crowd.closed(label, size.count)
    const cutNs = process.hrtime.bigint()
    for (const socket of sockets) {
      socket.write(LAST_WORD)
      socket.end()
    }
    found.push(Number((await closed) - cutNs) / 1e6)
  }
  return found
}
