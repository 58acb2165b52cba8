// PostgreSQL manual 54.7: what the gateway itself says, to clients and to servers.

/** Fields of ErrorResponse and NoticeResponse that we send. */
export type Report = {
  readonly severity: 'ERROR' | 'FATAL' | 'PANIC' | 'WARNING' | 'NOTICE' | 'LOG'
  readonly code: string
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
  /** 1-based, in characters of the statement. */
  readonly position?: number | undefined
}

export type TransactionStatus = 'I' | 'T' | 'E'

/** A frame: type letter, length, payload. */
export function frame(type: string, ...parts: readonly Uint8Array[]): Buffer {
  let sizeBytes = 4
  for (const part of parts) sizeBytes += part.length
  const out = Buffer.allocUnsafe(1 + sizeBytes)
  out[0] = type.charCodeAt(0)
  out.writeInt32BE(sizeBytes, 1)
  let at = 5
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

export function errorResponse(report: Report): Buffer {
  return frame('E', reportFields(report))
}

export function noticeResponse(report: Report): Buffer {
  return frame('N', reportFields(report))
}

export function readyForQuery(status: TransactionStatus): Buffer {
  return frame('Z', Buffer.from(status, 'latin1'))
}

export function authenticationOk(): Buffer {
  return frame('R', int32(0))
}

export function authenticationCleartextPassword(): Buffer {
  return frame('R', int32(3))
}

export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  return frame('R', int32(10), ...mechanisms.map(cstring), Buffer.alloc(1))
}

export function authenticationSaslContinue(data: Uint8Array): Buffer {
  return frame('R', int32(11), data)
}

export function parameterStatus(name: string, value: string): Buffer {
  return frame('S', cstring(name), cstring(value))
}

/** Four bytes of key for protocol 3.0, 4 to 256 for 3.2. */
export function backendKeyData(processId: number, key: Uint8Array): Buffer {
  if (key.length < 4 || key.length > 256) throw new RangeError('a cancel key has 4 to 256 bytes')
  return frame('K', int32(processId), key)
}

/** `version` is the full code (196610 for 3.2), not only the minor number: that is what PostgreSQL 18 sends. */
export function negotiateProtocolVersion(version: number, unknownOptions: readonly string[]): Buffer {
  return frame('v', int32(version), int32(unknownOptions.length), ...unknownOptions.map(cstring))
}

export function query(sql: string): Buffer {
  return frame('Q', cstring(sql))
}

export function parse(statement: string, sql: string, parameterTypes: readonly number[] = []): Buffer {
  const types = Buffer.alloc(2 + 4 * parameterTypes.length)
  types.writeUInt16BE(parameterTypes.length, 0)
  for (const [index, oid] of parameterTypes.entries()) types.writeUInt32BE(oid, 2 + 4 * index)
  return frame('P', cstring(statement), cstring(sql), types)
}

export function close(kind: 'S' | 'P', name: string): Buffer {
  return frame('C', Buffer.from(kind, 'latin1'), cstring(name))
}

export function sync(): Buffer {
  return frame('S')
}

export function terminate(): Buffer {
  return frame('X')
}

export function copyFail(reason: string): Buffer {
  return frame('f', cstring(reason))
}

export function passwordMessage(password: string): Buffer {
  return frame('p', cstring(password))
}

export function saslInitialResponse(mechanism: string, data: Uint8Array): Buffer {
  return frame('p', cstring(mechanism), int32(data.length), data)
}

export function saslResponse(data: Uint8Array): Buffer {
  return frame('p', data)
}

/** The first packet has no type letter. */
export function startupMessage(version: number, parameters: Iterable<readonly [string, string]>): Buffer {
  const parts: Buffer[] = [int32(version)]
  for (const [name, value] of parameters) parts.push(cstring(name), cstring(value))
  parts.push(Buffer.alloc(1))
  return untyped(Buffer.concat(parts))
}

export function sslRequest(): Buffer {
  return untyped(int32(requestCode.ssl))
}

export function cancelRequest(processId: number, key: Uint8Array): Buffer {
  return untyped(Buffer.concat([int32(requestCode.cancel), int32(processId), key]))
}

/** Codes that stand where a protocol version would. */
export const requestCode = { cancel: 80877102, ssl: 80877103, gss: 80877104 } as const

/** Protocol versions: major in the upper 16 bits, minor in the lower. */
export const protocolVersion = { v3_0: 196608, v3_2: 196610 } as const

export function int32(value: number): Buffer {
  const out = Buffer.allocUnsafe(4)
  out.writeInt32BE(value, 0)
  return out
}

/** A NUL inside would end the string early and let the rest be read as another field. */
export function cstring(text: string): Buffer {
  if (text.includes('\0')) throw new RangeError('a string on the wire cannot hold NUL')
  return Buffer.from(`${text}\0`, 'utf8')
}

function untyped(payload: Buffer): Buffer {
  return Buffer.concat([int32(payload.length + 4), payload])
}

function reportFields(report: Report): Buffer {
  const fields = [`S${report.severity}`, `V${report.severity}`, `C${report.code}`, `M${report.message}`]
  if (report.detail !== undefined) fields.push(`D${report.detail}`)
  if (report.hint !== undefined) fields.push(`H${report.hint}`)
  if (report.position !== undefined) fields.push(`P${report.position}`)
  return Buffer.concat([...fields.map((field) => cstring(field.replaceAll('\0', ''))), Buffer.alloc(1)])
}
