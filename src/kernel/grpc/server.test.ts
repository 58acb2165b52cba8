import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { test, type TestContext } from 'node:test'
import { create, createFileRegistry } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'
import { Code, ConnectError, createClient, type Client } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import fc from 'fast-check'
import { systemClock } from '../clock.ts'
import { silentLog } from '../log.ts'
import { sleep } from '../timer.ts'
import { GRPC, GrpcError, type GrpcMethod } from './call.ts'
import { framed } from './frame.ts'
import { bytesOf, field, NotProtobuf, numberField, readFields, textOf } from './protobuf.ts'
import { openGrpc, type GrpcOptions } from './server.ts'

/** Somebody else's client, and somebody else's reading of what we write. */
const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'toy.proto',
    package: 'toy',
    syntax: 'proto3',
    messageType: [
      {
        name: 'Words',
        field: [
          {
            name: 'text',
            number: 1,
            type: FieldDescriptorProto_Type.STRING,
            label: FieldDescriptorProto_Label.OPTIONAL,
            jsonName: 'text',
          },
        ],
      },
    ],
    service: [
      {
        name: 'Toy',
        method: [
          { name: 'Say', inputType: '.toy.Words', outputType: '.toy.Words' },
          { name: 'Count', inputType: '.toy.Words', outputType: '.toy.Words', serverStreaming: true },
          { name: 'Missing', inputType: '.toy.Words', outputType: '.toy.Words' },
        ],
      },
    ],
  }),
  () => undefined,
)
const service = registry.getService('toy.Toy')
assert.ok(service)

type Said = { readonly text: string }
type Toy = {
  say(words: Said, options?: object): Promise<Said>
  missing(words: Said): Promise<Said>
  count(words: Said, options?: object): AsyncIterable<Said>
}

function said(message: Buffer): string {
  let text = ''
  readFields(message, (number, value) => {
    if (number === 1) text = textOf(value)
  })
  return text
}

const waiting: PromiseWithResolvers<void>[] = []

const METHODS = new Map<string, GrpcMethod>([
  [
    '/toy.Toy/Say',
    {
      kind: 'unary',
      run: async ({ message, signal }) => {
        const text = said(message)
        if (text === 'refused') throw new GrpcError(GRPC.permissionDenied, 'not you: 100 % né')
        if (text === 'broken') throw new Error('the secret of the house')
        if (text === 'slow') {
          const gone = Promise.withResolvers<void>()
          waiting.push(gone)
          signal.addEventListener('abort', () => gone.resolve(), { once: true })
          await gone.promise
        }
        return field(1, text)
      },
    },
  ],
  [
    '/toy.Toy/Count',
    {
      kind: 'stream',
      async *run({ message, signal }) {
        const most = Number(said(message))
        for (let at = 0; at < most && !signal.aborted; at += 1) yield field(1, String(at))
        if (most < 0) throw new Error('below nothing')
      },
    },
  ],
])

async function toy(
  t: TestContext,
  limits: Partial<GrpcOptions['limits']> = {},
): Promise<{ client: Toy; port: number }> {
  const server = await openGrpc({
    listen: { host: '127.0.0.1', port: 0 },
    tls: 'plaintext',
    methods: METHODS,
    limits: { messageBytes: 4096, callMs: 5_000, calls: 100, streamsPerConnection: 50, connections: 10, ...limits },
    clock: systemClock,
    log: silentLog,
  })
  t.after(() => server[Symbol.asyncDispose]())
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.port}` })
  assert.ok(service)
  const client: Client<typeof service> = createClient(service, transport)
  return { client: client as unknown as Toy, port: server.port }
}

async function codeOf(call: Promise<unknown>): Promise<Code | undefined> {
  return call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  )
}

test('another implementation’s client calls, and gets one answer or many', async (t) => {
  const { client } = await toy(t)

  assert.equal((await client.say({ text: 'grüezi' })).text, 'grüezi')
  const counted: string[] = []
  for await (const { text } of client.count({ text: '2000' })) counted.push(text)
  assert.deepEqual([counted.length, counted.at(-1)], [2000, '1999'])
})

test('a call ends with its own status, and an error of ours says nothing of itself', async (t) => {
  const { client } = await toy(t)
  const refused = await client.say({ text: 'refused' }).catch((error: unknown) => ConnectError.from(error))
  const broken = await client.say({ text: 'broken' }).catch((error: unknown) => ConnectError.from(error))

  assert.ok(refused instanceof ConnectError && broken instanceof ConnectError)
  assert.deepEqual([refused.code, refused.rawMessage], [Code.PermissionDenied, 'not you: 100 % né'])
  assert.deepEqual([broken.code, broken.rawMessage], [Code.Internal, 'the call failed'])
  assert.equal(await codeOf(client.missing({ text: '' })), Code.Unimplemented)
  const partly = (async () => {
    for await (const each of client.count({ text: '-1' })) void each
  })()
  assert.notEqual(await codeOf(partly), undefined)
})

test('attack: a message that is too long is refused before it is read, and the listener goes on', async (t) => {
  const { client } = await toy(t)

  assert.equal(await codeOf(client.say({ text: 'x'.repeat(200_000) })), Code.ResourceExhausted)
  assert.equal((await client.say({ text: 'still here' })).text, 'still here')
})

test('a call that takes too long ends, and what it does hears of it', async (t) => {
  const { client } = await toy(t, { callMs: 1 })

  assert.equal(await codeOf(client.say({ text: 'slow' })), Code.DeadlineExceeded)
  await waiting.at(-1)?.promise
})

test('a caller that goes away is heard of', async (t) => {
  const { client } = await toy(t)
  const gone = new AbortController()
  const before = waiting.length
  const call = codeOf(client.say({ text: 'slow' }, { signal: gone.signal }))
  while (waiting.length === before) await sleep(1)
  gone.abort()

  assert.equal(await call, Code.Canceled)
  await waiting.at(-1)?.promise
})

test('attack: more calls at once than there may be are refused at once', async (t) => {
  const { client } = await toy(t, { calls: 1 })
  const gone = new AbortController()
  const before = waiting.length
  const held = codeOf(client.say({ text: 'slow' }, { signal: gone.signal }))
  while (waiting.length === before) await sleep(1)

  assert.equal(await codeOf(client.say({ text: 'hello' })), Code.Unavailable)
  gone.abort()
  await held
})

test('attack: what is no call of gRPC ends in a status and harms nobody', async (t) => {
  const { client, port } = await toy(t)
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  t.after(() => session.destroy())
  const send = async (headers: object, body: Buffer) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/toy.Toy/Say',
      'content-type': 'application/grpc',
      ...headers,
    })
    stream.on('error', () => undefined)
    const trailers = once(stream, 'trailers').then(([each]: unknown[]) => Object(each)['grpc-status'])
    const response = once(stream, 'response').then(([each]: unknown[]) => Object(each)['grpc-status'])
    stream.end(body)
    stream.resume()
    return (await response) ?? (await trailers)
  }
  const message = framed(field(1, 'hello'))
  const flagged = Buffer.from(message)
  flagged[0] = 1

  assert.equal(await send({}, message), '0')
  assert.equal(await send({}, message.subarray(0, 3)), '3')
  assert.equal(await send({}, message.subarray(0, 9)), '3')
  assert.equal(await send({}, Buffer.concat([message, message])), '3')
  assert.equal(await send({}, flagged), '12')
  assert.equal(await send({ 'content-type': 'application/json' }, message), '3')
  assert.equal(await send({ ':path': '/toy.Toy/constructor' }, message), '12')
  assert.equal(await send({}, framed(Buffer.from([0x0a, 0x7f, 0x41]))), '13')
  assert.equal((await client.say({ text: 'still here' })).text, 'still here')
})

test('bytes of whatever kind are a message or are refused, and what we write we read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        readFields(Buffer.from(bytes), (_number, value) => typeof value === 'number' || textOf(value))
      } catch (error) {
        assert.ok(error instanceof NotProtobuf)
      }
    }),
    { numRuns: 5000 },
  )
  fc.assert(
    fc.property(fc.nat(), fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 500 }), (count, text, number) => {
      const read: unknown[] = []
      readFields(Buffer.concat([numberField(number, count), field(number, text)]), (at, value) => {
        read.push(at, typeof value === 'number' ? value : bytesOf(value).toString('utf8'))
      })
      assert.deepEqual(read, [number, count, number, Buffer.from(text).toString('utf8')])
    }),
  )
  assert.throws(() => readFields(Buffer.from([0x0a, 0x02, 0xff, 0xfe]), (_, value) => textOf(value)), NotProtobuf)
})
