import { PayloadReader } from './bytes.ts'
import { WireError, sqlState, violation } from './wire-error.ts'
import type { TransactionStatus } from './encode.ts'

// PostgreSQL manual 54.7, read strictly: a payload shorter or longer than its fields is a violation. Every function takes the
// payload as a range, as the walker hands it over; buffers in the results are views of it.

export type ParseMessage = {
  readonly statement: string
  readonly sql: string
  readonly parameterTypes: readonly number[]
}
export type BindMessage = {
  readonly portal: string
  readonly statement: string
  readonly parameterFormats: readonly number[]
  /** Null is SQL NULL. */
  readonly values: readonly (Buffer | null)[]
  readonly resultFormats: readonly number[]
}
export type NamedMessage = { readonly kind: 'S' | 'P'; readonly name: string }
export type ReportFields = {
  readonly severity: string
  readonly code: string
  readonly message: string
  readonly detail: string | undefined
  readonly hint: string | undefined
}

export function readQuery(bytes: Buffer, start?: number, end?: number): string {
  const reader = new PayloadReader(bytes, start, end)
  const sql = reader.cstring()
  reader.finish()
  return sql
}

export function readParse(bytes: Buffer, start?: number, end?: number): ParseMessage {
  const reader = new PayloadReader(bytes, start, end)
  const statement = reader.cstring()
  const sql = reader.cstring()
  const parameterTypes = list(reader.count(), () => reader.int32() >>> 0)
  reader.finish()
  return { statement, sql, parameterTypes }
}

export function readBind(bytes: Buffer, start?: number, end?: number): BindMessage {
  const reader = new PayloadReader(bytes, start, end)
  const portal = reader.cstring()
  const statement = reader.cstring()
  const parameterFormats = list(reader.count(), () => reader.int16())
  const values = list(reader.count(), () => readValue(reader))
  if (parameterFormats.length > 1 && parameterFormats.length !== values.length)
    throw violation(`Bind has ${parameterFormats.length} parameter formats but ${values.length} parameters`)
  const resultFormats = list(reader.count(), () => reader.int16())
  reader.finish()
  return { portal, statement, parameterFormats, values, resultFormats }
}

/** Only the names of a Bind: enough to find the statement it uses, without looking at the values. */
export function readBindNames(bytes: Buffer, start?: number, end?: number): { portal: string; statement: string } {
  const reader = new PayloadReader(bytes, start, end)
  return { portal: reader.cstring(), statement: reader.cstring() }
}

export function readDescribe(bytes: Buffer, start?: number, end?: number): NamedMessage {
  return readNamed(bytes, start, end)
}

export function readClose(bytes: Buffer, start?: number, end?: number): NamedMessage {
  return readNamed(bytes, start, end)
}

export function readExecute(bytes: Buffer, start?: number, end?: number): { portal: string; maxRows: number } {
  const reader = new PayloadReader(bytes, start, end)
  const portal = reader.cstring()
  const maxRows = reader.int32()
  reader.finish()
  return { portal, maxRows }
}

/** ErrorResponse or NoticeResponse. Unknown fields are skipped, as the protocol asks. */
export function readReport(bytes: Buffer, start?: number, end?: number): ReportFields {
  const reader = new PayloadReader(bytes, start, end)
  const fields = new Map<string, string>()
  for (let field = reader.byte(); field !== 0; field = reader.byte()) {
    // A server may report before the encoding is settled, so this is not strict.
    fields.set(String.fromCharCode(field), reader.cstringBytes().toString('utf8'))
  }
  reader.finish()
  return {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    code: fields.get('C') ?? 'XX000',
    message: fields.get('M') ?? '',
    detail: fields.get('D'),
    hint: fields.get('H'),
  }
}

export function readCommandTag(bytes: Buffer, start?: number, end?: number): string {
  const reader = new PayloadReader(bytes, start, end)
  const tag = reader.cstringBytes().toString('latin1')
  reader.finish()
  return tag
}

const MOST_ROW_DIGITS = 15

/** Rows a command touched: the last number of its tag (`SELECT 5`, `INSERT 0 5`), undefined where it has none. */
export function readCommandRows(bytes: Buffer, start: number = 0, end: number = bytes.length): number | undefined {
  let rows = 0
  let unit = 1
  let at = end - 2
  for (; at >= start && end - at < MOST_ROW_DIGITS + 2; at--) {
    const digit = (bytes[at] ?? 0) - 48
    if (digit < 0 || digit > 9) break
    rows += digit * unit
    unit *= 10
  }
  return unit > 1 && at >= start && bytes[at] === 32 ? rows : undefined
}

export function readParameterStatus(bytes: Buffer, start?: number, end?: number): { name: string; value: string } {
  const reader = new PayloadReader(bytes, start, end)
  const name = reader.cstring()
  const value = reader.cstringBytes().toString('utf8')
  reader.finish()
  return { name, value }
}

export function readReadyStatus(bytes: Buffer, start: number = 0, end: number = bytes.length): TransactionStatus {
  const letter = bytes[start]
  if (end - start === 1) {
    if (letter === 73) return 'I'
    if (letter === 84) return 'T'
    if (letter === 69) return 'E'
  }
  throw violation('ReadyForQuery has no transaction status')
}

/** The key is a copy: it outlives the message. */
export function readBackendKey(bytes: Buffer, start?: number, end?: number): { processId: number; key: Buffer } {
  const reader = new PayloadReader(bytes, start, end)
  const processId = reader.int32()
  if (reader.remaining < 4 || reader.remaining > 256) throw violation('a cancel key has 4 to 256 bytes')
  return { processId, key: Buffer.from(reader.view(reader.remaining)) }
}

export function readNotification(bytes: Buffer, start?: number, end?: number) {
  const reader = new PayloadReader(bytes, start, end)
  const processId = reader.int32()
  const channel = reader.cstring()
  const payload = reader.cstring()
  reader.finish()
  return { processId, channel, payload }
}

/** What the server asks for while it authenticates us. */
export type AuthenticationRequest =
  | { readonly kind: 'ok' }
  | { readonly kind: 'cleartext' }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'sasl-continue'; readonly data: Buffer }
  | { readonly kind: 'sasl-final'; readonly data: Buffer }
  | { readonly kind: 'unsupported'; readonly name: string }

const unsupportedMethods: Readonly<Record<number, string>> = {
  2: 'Kerberos V5',
  5: 'MD5 password',
  6: 'crypt password',
  7: 'GSSAPI',
  9: 'SSPI',
}

export function readAuthentication(bytes: Buffer, start?: number, end?: number): AuthenticationRequest {
  const reader = new PayloadReader(bytes, start, end)
  const method = reader.int32()
  if (method === 10) {
    const mechanisms: string[] = []
    for (let name = reader.cstring(); name !== ''; name = reader.cstring()) mechanisms.push(name)
    reader.finish()
    return { kind: 'sasl', mechanisms }
  }
  if (method === 11 || method === 12)
    return { kind: method === 11 ? 'sasl-continue' : 'sasl-final', data: Buffer.from(reader.view(reader.remaining)) }
  if (method !== 0 && method !== 3)
    return { kind: 'unsupported', name: unsupportedMethods[method] ?? `method ${method}` }
  reader.finish()
  return { kind: method === 0 ? 'ok' : 'cleartext' }
}

export function readNegotiation(bytes: Buffer, start?: number, end?: number) {
  const reader = new PayloadReader(bytes, start, end)
  const version = reader.int32()
  const count = reader.int32()
  if (count < 0 || count > reader.remaining) throw violation('NegotiateProtocolVersion lists an impossible count')
  const unknownOptions = list(count, () => reader.cstring())
  reader.finish()
  return { version, unknownOptions }
}

/** What a client answers to a request for a cleartext password; limited, because anybody may send it. */
export function readPassword(bytes: Buffer, start?: number, end?: number): string {
  const reader = new PayloadReader(bytes, start, end)
  const password = reader.cstring()
  reader.finish()
  if (password === '') throw new WireError(sqlState.invalidPassword, 'The password is empty.')
  return password
}

function readNamed(bytes: Buffer, start?: number, end?: number): NamedMessage {
  const reader = new PayloadReader(bytes, start, end)
  const kind = reader.byte()
  const name = reader.cstring()
  reader.finish()
  if (kind !== 83 && kind !== 80) throw violation(`kind ${kind} is neither a statement nor a portal`)
  return { kind: kind === 83 ? 'S' : 'P', name }
}

function readValue(reader: PayloadReader): Buffer | null {
  const sizeBytes = reader.int32()
  if (sizeBytes === -1) return null
  return reader.view(sizeBytes)
}

function list<T>(count: number, read: () => T): T[] {
  const items: T[] = []
  for (let index = 0; index < count; index++) items.push(read())
  return items
}
