/** A stub of a directory: it answers what it was given, as a hostile server could. What is proven is proven on slapd and on Samba. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

type Values = Readonly<Record<string, readonly (string | Buffer)[]>>
export type StubEntry = { readonly dn: string | Buffer; readonly values: Values }
export type StubAsk = { readonly base: string; readonly scope: number; readonly cookie: Buffer; readonly bytes: Buffer }
export type StubAnswer = {
  readonly entries?: readonly StubEntry[]
  readonly references?: readonly string[]
  readonly cookie?: Buffer
  readonly code?: number
  /** Instead of all that: these bytes as they are. */
  readonly raw?: Buffer
  /** Ends the line in the middle of what it sends. */
  readonly breaks?: boolean
}

/** ASN.1 in BER, with lengths in their shortest form. */
function ber(tag: number, ...content: readonly (Buffer | string)[]): Buffer {
  const inner = Buffer.concat(content.map((each) => (typeof each === 'string' ? Buffer.from(each) : each)))
  const { length } = inner
  const size = Buffer.alloc(4)
  size.writeUInt32BE(length)
  const long = size.subarray(size.findIndex((byte) => byte !== 0))
  return Buffer.concat([Buffer.from(length < 0x80 ? [tag, length] : [tag, 0x80 | long.length, ...long]), inner])
}
const int = (value: number, tag = 2) => ber(tag, Buffer.from([value >> 16, (value >> 8) & 0xff, value & 0xff]))

const entryOf = (number: Buffer, { dn, values }: StubEntry) =>
  ber(
    0x30,
    number,
    ber(
      0x64,
      ber(4, dn),
      ber(
        0x30,
        ...Object.entries(values).map(([name, all]) =>
          ber(0x30, ber(4, name), ber(0x31, ...all.map((each) => ber(4, each)))),
        ),
      ),
    ),
  )

/** RFC 4511 §4.5.2; the control of RFC 2696 where a cookie is given. */
function doneOf(number: Buffer, code: number, cookie: Buffer | undefined): Buffer {
  const done = ber(0x65, int(code, 10), ber(4), ber(4))
  if (cookie === undefined) return ber(0x30, number, done)
  const value = ber(0x30, int(0), ber(4, cookie))
  return ber(0x30, number, done, ber(0xa0, ber(0x30, ber(4, '1.2.840.113556.1.4.319'), ber(4, value))))
}

function elements(bytes: Buffer): { tag: number; content: Buffer }[] {
  const found: { tag: number; content: Buffer }[] = []
  for (let at = 0; at + 1 < bytes.length;) {
    const first = bytes[at + 1] ?? 0
    const count = first < 0x80 ? 0 : first & 0x7f
    const length = count === 0 ? first : bytes.readUIntBE(at + 2, count)
    const start = at + 2 + count
    if (start + length > bytes.length) break
    found.push({ tag: bytes[at] ?? 0, content: bytes.subarray(start, start + length) })
    at = start + length
  }
  return found
}

/** Listens on this machine, lets everybody in, and asks `answer` for each search. */
export async function stubDirectory(t: Pick<TestContext, 'after'>, answer: (ask: StubAsk) => StubAnswer | undefined) {
  const asked: StubAsk[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    let kept: Buffer = Buffer.alloc(0)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      kept = Buffer.concat([kept, chunk])
      let [message] = elements(kept)
      while (message) {
        kept = kept.subarray(ber(0x30, message.content).length)
        reply(socket, message.content)
        ;[message] = elements(kept)
      }
    })
  })
  const reply = (socket: Socket, message: Buffer) => {
    const [number, operation, controls] = elements(message)
    if (!number || !operation) return
    const id = ber(2, number.content)
    if (operation.tag === 0x60) socket.write(ber(0x30, id, ber(0x61, int(0, 10), ber(4), ber(4))))
    // Compared: no such attribute.
    if (operation.tag === 0x6e) socket.write(ber(0x30, id, ber(0x6f, int(16, 10), ber(4), ber(4))))
    // RFC 4511 §4.14: it takes no TLS.
    if (operation.tag === 0x77) socket.write(ber(0x30, id, ber(0x78, int(2, 10), ber(4), ber(4))))
    if (operation.tag !== 0x63) return
    const [base, scope] = elements(operation.content)
    const value = elements(elements(controls?.content ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0)).at(-1)
    const pair = elements(elements(value?.content ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0))
    const ask = {
      base: base?.content.toString() ?? '',
      scope: scope?.content[0] ?? 0,
      cookie: Buffer.from(pair[1]?.content ?? []),
      bytes: Buffer.from(operation.content),
    }
    asked.push(ask)
    const given = answer(ask)
    if (given === undefined) return
    const told = Buffer.concat([
      ...(given.entries ?? []).map((entry) => entryOf(id, entry)),
      ...(given.references ?? []).map((url) => ber(0x30, id, ber(0x73, ber(4, url)))),
      given.raw ?? doneOf(id, given.code ?? 0, given.cookie),
    ])
    if (!given.breaks) socket.write(told)
    else socket.end(told.subarray(0, Math.ceil(told.length / 2)))
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return { url: `ldap://127.0.0.1:${port}`, asked, lines: () => sockets.size }
}
