import { PayloadReader } from './bytes.ts'
import { negotiateProtocolVersion, protocolVersion, requestCode } from './encode.ts'
import { readOptions } from './options.ts'
import { WireError, sqlState, violation } from './wire-error.ts'
import { Slug } from '../../../kernel/ids.ts'
import { canonicalSetting, classifySetting } from '../sql/settings.ts'

// The first packet of a connection has no type letter and comes from anybody, so it is bounded before it is read
// (ProcessStartupPacket, MAX_STARTUP_PACKET_LENGTH).

export type FirstPacket =
  | { readonly kind: 'tls' }
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gss' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly key: Buffer }
  | StartupPacket

export type StartupPacket = {
  readonly kind: 'startup'
  readonly version: number
  readonly parameters: ReadonlyMap<string, string>
}

/** What a start-up message asks for, once it is found acceptable. */
export type StartupRequest = {
  readonly account: string
  readonly target: string
  readonly database: string
  /** The version both sides speak: 196608 or 196610. */
  readonly version: number
  /** To be sent before authentication, where the client asked for more than we speak. */
  readonly negotiation: Buffer | undefined
  /** Checked, with canonical names; the encoding and string syntax are pinned whether asked for or not. */
  readonly settings: ReadonlyMap<string, string>
}

const LENGTH_BYTES = 4
/** The server allows 10,000 bytes after the length itself. */
const MAX_STARTUP_BYTES = 10_000
const TLS_HANDSHAKE = 0x16

/**
 * Reads the first packet, or the one after an answered SSLRequest. Undefined: more bytes are needed. `sizeBytes` is what the
 * packet took; for `tls` nothing was taken.
 */
export function readFirstPacket(bytes: Buffer): { packet: FirstPacket; sizeBytes: number } | undefined {
  // Direct TLS (sslnegotiation=direct): a ClientHello, whose first byte no valid length has.
  if (bytes[0] === TLS_HANDSHAKE) return { packet: { kind: 'tls' }, sizeBytes: 0 }
  if (bytes.length < LENGTH_BYTES) return undefined
  const sizeBytes = bytes.readInt32BE(0)
  if (sizeBytes < 2 * LENGTH_BYTES || sizeBytes > LENGTH_BYTES + MAX_STARTUP_BYTES)
    throw violation('invalid length of startup packet')
  if (bytes.length < sizeBytes) return undefined
  const packet = readPacket(new PayloadReader(bytes, LENGTH_BYTES, sizeBytes))
  // CVE-2021-23214: bytes sent in the clear before TLS began must not be taken for bytes of the TLS session.
  if ((packet.kind === 'ssl' || packet.kind === 'gss') && bytes.length > sizeBytes)
    throw violation('received unencrypted data after an encryption request')
  return { packet, sizeBytes }
}

function readPacket(reader: PayloadReader): FirstPacket {
  const code = reader.int32()
  if (code === requestCode.ssl || code === requestCode.gss) {
    reader.finish()
    return { kind: code === requestCode.ssl ? 'ssl' : 'gss' }
  }
  if (code === requestCode.cancel) {
    const processId = reader.int32()
    if (reader.remaining < 4 || reader.remaining > 256) throw violation('invalid length of cancel request')
    return { kind: 'cancel', processId, key: Buffer.from(reader.view(reader.remaining)) }
  }
  if (code >>> 16 !== 3)
    throw new WireError(
      sqlState.featureNotSupported,
      `unsupported frontend protocol ${code >>> 16}.${code & 0xffff}: server supports 3.0 to 3.2`,
    )
  const parameters = new Map<string, string>()
  for (let name = reader.cstring(); name !== ''; name = reader.cstring()) {
    if (parameters.has(name)) throw violation(`the startup packet names "${printable(name)}" twice`)
    parameters.set(name, reader.cstring())
  }
  reader.finish()
  return { kind: 'startup', version: code, parameters }
}

/** Decides what a start-up message may ask for; throws a `WireError` with a sentence the person at the client can act on. */
export function settleStartup(packet: StartupPacket): StartupRequest {
  const user = packet.parameters.get('user')
  if (!user)
    throw new WireError(sqlState.invalidAuthorization, 'no PostgreSQL user name specified in startup packet', userHint)
  const { account, target } = splitUser(user)
  const database = packet.parameters.get('database')
  // libpq sends the user name when no database is given; that is never a database here.
  if (!database || database === user)
    throw new WireError(sqlState.invalidDatabase, 'Name the database to connect to, for example dbname=orders.')
  if (Buffer.byteLength(database) > 63)
    throw new WireError(sqlState.invalidDatabase, 'The database name is longer than 63 bytes.')
  refuseReplication(packet.parameters.get('replication'))
  const extensions = [...packet.parameters.keys()].filter((name) => name.startsWith('_pq_.'))
  const isBeyondUs = packet.version > protocolVersion.v3_2 || extensions.length > 0
  return {
    account,
    target,
    database,
    // 3.1 was never used; the server treats it as 3.0 (with the short cancel key) and so do we.
    version: packet.version >= protocolVersion.v3_2 ? protocolVersion.v3_2 : protocolVersion.v3_0,
    negotiation: isBeyondUs
      ? negotiateProtocolVersion(Math.min(packet.version, protocolVersion.v3_2), extensions)
      : undefined,
    settings: settleSettings(packet.parameters),
  }
}

const userHint = 'Connect as user=<account>@<target>.'

/** `account@target`, split at the last `@`: account names may hold one, target names are slugs. */
function splitUser(user: string): { account: string; target: string } {
  const at = user.lastIndexOf('@')
  const account = user.slice(0, Math.max(at, 0))
  const target = user.slice(at + 1)
  if (at < 0) throw new WireError(sqlState.invalidAuthorization, 'The user name does not say which target.', userHint)
  if (account === '' || Buffer.byteLength(account) > 63)
    throw new WireError(sqlState.invalidAuthorization, 'The account in the user name has 1 to 63 bytes.', userHint)
  if (!Slug.safeParse(target).success)
    throw new WireError(sqlState.invalidAuthorization, 'The target in the user name is not a valid name.', userHint)
  return { account, target }
}

const notSettings = new Set(['user', 'database', 'replication', 'options'])

function settleSettings(parameters: ReadonlyMap<string, string>): Map<string, string> {
  const settings = new Map<string, string>()
  // The server applies `options` first and the other parameters after them (process_startup_options).
  for (const [name, value] of readOptions(parameters.get('options') ?? '')) accept(settings, name, value)
  for (const [name, value] of parameters)
    if (!notSettings.has(name) && !name.startsWith('_pq_.')) accept(settings, name, value)
  settings.set('client_encoding', 'UTF8')
  settings.set('standard_conforming_strings', 'on')
  return settings
}

function accept(settings: Map<string, string>, name: string, value: string): void {
  const needed = classifySetting(name, value)
  if (needed === 'session') {
    settings.set(canonicalSetting(name), value)
    return
  }
  const shown = printable(name)
  if (needed === 'forbidden')
    throw new WireError(
      sqlState.invalidParameterValue,
      `This gateway keeps client_encoding at UTF8 and standard_conforming_strings on; "${shown}" cannot be changed.`,
    )
  throw new WireError(
    sqlState.insufficientPrivilege,
    `The setting "${shown}" is not accepted when a session starts.`,
    'Leave it out of the connection string; if the work needs it, set it inside the session under a grant that covers it.',
  )
}

function refuseReplication(value: string | undefined): void {
  if (value === undefined || /^(off|f|fa|fal|fals|false|n|no|0)$/i.test(value)) return
  throw new WireError(sqlState.featureNotSupported, 'Replication connections are not brokered by this gateway.')
}

function printable(name: string): string {
  return name.slice(0, 64).replaceAll(/[^\x20-\x7e]/g, '?')
}
