/**
 * What a proxy says of a request: `envoy.service.auth.v3.CheckRequest`, of which only what is used here is read. Field numbers are those of
 * envoy/service/auth/v3/attribute_context.proto.
 */
import { bytesOf, NotProtobuf, readFields, textOf } from '../../kernel/grpc/protobuf.ts'

export type AskedRequest = {
  readonly method: string
  readonly host: string
  /** With its query, as the proxy is about to send it on. */
  readonly path: string
  /** By their names in lower case; several of one name are joined by commas. */
  readonly headers: ReadonlyMap<string, string>
  /** What the proxy has verified of the peer's certificate: its URI or DNS name, or its subject. Empty without one. */
  readonly principal: string
  /** That certificate, PEM in URL encoding, where the proxy sends it. */
  readonly certificate: string
}

/** More headers than this no honest request has. */
const MOST_HEADERS = 500

/** Throws `NotProtobuf`. */
export function readCheckRequest(message: Buffer): AskedRequest {
  const headers = new Map<string, string>()
  const found = { method: '', host: '', path: '', principal: '', certificate: '' }
  const addHeader = (name: string, value: string) => {
    if (headers.size >= MOST_HEADERS) throw new NotProtobuf('there are too many headers')
    const [key, known] = [name.toLowerCase(), headers.get(name.toLowerCase())]
    headers.set(key, known === undefined ? value : `${known},${value}`)
  }
  const readHttp = (bytes: Buffer) =>
    readFields(bytes, (number, value) => {
      if (number === 2) found.method = textOf(value)
      else if (number === 3) addHeader(...pairIn(bytesOf(value)))
      else if (number === 4) found.path = textOf(value)
      else if (number === 5) found.host = textOf(value)
      else if (number === 13) eachIn(bytesOf(value), 1, (each) => addHeader(...rawPairIn(each)))
    })
  const readSource = (bytes: Buffer) =>
    readFields(bytes, (number, value) => {
      if (number === 4) found.principal = textOf(value)
      else if (number === 5) found.certificate = textOf(value)
    })
  eachIn(message, 1, (attributes) => {
    readFields(attributes, (number, value) => {
      if (number === 1) readSource(bytesOf(value))
      else if (number === 4) eachIn(bytesOf(value), 2, readHttp)
    })
  })
  return { ...found, headers }
}

function eachIn(bytes: Buffer, wanted: number, visit: (message: Buffer) => void): void {
  readFields(bytes, (number, value) => {
    if (number === wanted) visit(bytesOf(value))
  })
}

/** An entry of a map: its key is 1, its value 2. */
function pairIn(bytes: Buffer): [name: string, value: string] {
  const pair: [string, string] = ['', '']
  readFields(bytes, (number, value) => {
    if (number === 1) pair[0] = textOf(value)
    else if (number === 2) pair[1] = textOf(value)
  })
  return pair
}

/** `config.core.v3.HeaderValue`: the value stands as text, or as bytes where it need not be UTF-8. */
function rawPairIn(bytes: Buffer): [name: string, value: string] {
  const pair: [string, string] = ['', '']
  readFields(bytes, (number, value) => {
    if (number === 1) pair[0] = textOf(value)
    else if (number === 2 || number === 3) pair[1] = bytesOf(value).toString('latin1')
  })
  return pair
}
