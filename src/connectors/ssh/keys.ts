import {
  Denied,
  known,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { pagesOf } from './accounts.ts'
import { accountId, closedOf, needsRoot, SSHD, type Host } from './host.ts'
import { LINE_MAX, readAuthorizedKey, readKey, type AuthorizedKey, type PublicKey } from './public-keys.ts'
import { isFull, linesOf, modeOf, textOf } from './records.ts'
import { KEYS_BYTES } from './script.ts'
import { instantOf } from './times.ts'

export const KEYS_MISSING = needsRoot('authorized keys of other accounts')
export const SSHD_MISSING = needsRoot('the settings of sshd')

/** Which keys log in to which account: the id of each, for uses of it. */
export type KeyIds = ReadonlyMap<string, NativeId>

type Found = {
  readonly id: NativeId
  readonly user: string
  readonly observations: readonly Observation[]
  readonly key: AuthorizedKey
}

function found(host: Host): Found[] {
  const once = new Map<string, Found>()
  for (const record of host.records) {
    if (record.word !== 'keys') continue
    const [user, uid, file] = [textOf(record, 0), textOf(record, 1), textOf(record, 2)]
    for (const line of linesOf(record, 4)) {
      const key = readAuthorizedKey(line)
      if (!key) continue
      const id = { kind: 'authorized-key', id: `${uid}:${file}#${key.fingerprint}` }
      // The same key twice in one file: sshd goes by the first line.
      if (once.has(id.id)) continue
      once.set(id.id, { id, user, key, observations: tellKey(key, { id, uid, file, mode: modeOf(record, 3) }) })
    }
  }
  return [...once.values()]
}

export function keyIds(host: Host): KeyIds {
  return new Map(found(host).map(({ user, key, id }) => [`${user} ${key.fingerprint}`, id]))
}

/** Every line of every account's `authorized_keys`. */
export async function* readKeys(host: Host): AsyncGenerator<Page, ScopeReport> {
  yield* pagesOf(found(host).flatMap(({ observations }) => observations))
  if (!host.isRoot) throw new Denied(KEYS_MISSING)
  const { hidden, strange } = linesLeft(host)
  const missing: Missing[] = closedOf(host, 'keys').map((file) => ({
    what: file,
    why: 'it could not be read to its end',
  }))
  // A key that was seen before may stand there still.
  if (hidden > 0) missing.push({ what: `${hidden} lines of authorized keys`, why: 'they are longer than what is read' })
  const status = missing.length > 0 ? 'partial' : 'complete'
  if (strange > 0)
    missing.push({ what: `${strange} lines of authorized keys`, why: 'they hold no key of a type that is known here' })
  return { status, missing }
}

/** Lines that are no comment and of which no key was told: too long for that, or of a type that nobody here knows. */
function linesLeft(host: Host): { readonly hidden: number; readonly strange: number } {
  let [hidden, strange] = [0, 0]
  for (const record of host.records) {
    if (record.word !== 'keys') continue
    if (isFull(record, 4, KEYS_BYTES)) hidden += 1
    strange += Number(textOf(record, 5)) || 0
    for (const line of linesOf(record, 4)) {
      if (line.trimStart().startsWith('#') || readAuthorizedKey(line)) continue
      if (line.length > LINE_MAX) hidden += 1
      else strange += 1
    }
  }
  return { hidden, strange }
}

type Place = {
  readonly id: NativeId
  readonly uid: string
  readonly file: string
  readonly mode: ReturnType<typeof modeOf>
}

function tellKey(key: AuthorizedKey, { id, uid, file, mode }: Place): Observation[] {
  const option = (name: string) => key.options.find((each) => each.name === name)
  const from = option('from')?.value?.split(',') ?? []
  const command = option('command')?.value
  const end = option('expiry-time')?.value
  const expiry = expiryOf(end)
  const isAuthority = option('cert-authority') !== undefined
  const weakness = weaknessOf(key)
  const principals = option('principals')?.value?.split(',') ?? []
  const credential: Observation = {
    kind: 'credential',
    id,
    principal: known(accountId(uid)),
    type: 'ssh-key',
    name: key.comment === '' ? key.fingerprint : key.comment,
    state: known('active'),
    createdAt: unknown('unsupported'),
    rotatedAt: unknown('unsupported'),
    // One that is no time lets nobody in, or everybody: that is sshd's to say.
    expiresAt: end === undefined ? known('never') : expiry ? known(expiry) : unknown('failed'),
    fingerprints: known([{ alg: 'ssh-sha256', value: key.fingerprint }]),
    scopes: known([]),
    bindings: known([
      ...(from.length > 0 ? ['ip' as const] : []),
      ...(command === undefined ? [] : ['command' as const]),
    ]),
    strength: known(weakness?.degree ?? 'strong'),
    strengthWhy: weakness ? [weakness.why] : [],
    heldBy: unknown('unsupported'),
    facts: {
      keyType: key.type,
      bits: key.bits ?? null,
      comment: key.comment,
      options: key.options.map(({ name }) => name),
      from,
      // What follows the program may be anything, a password as well.
      command: command === undefined ? null : (command.trim().split(/\s+/, 1)[0] ?? ''),
      isRestricted: option('restrict') !== undefined,
      isUnrestricted: key.options.length === 0,
      isAuthority,
      file,
      mode: mode?.mode ?? null,
      ownerUid: mode?.ownerUid ?? null,
    },
  }
  if (!isAuthority) return [credential]
  return [credential, authority({ kind: 'key-authority', id: id.id }, key, accountId(uid), principals)]
}

/** Whoever holds this authority's key may log in by signing certificates. */
function authority(id: NativeId, key: PublicKey, to: NativeId, principals: readonly string[]): Observation {
  return {
    kind: 'trust',
    id,
    from: { issuer: `ssh authority ${key.fingerprint}`, claims: { principals: [...principals] } },
    to,
    wildcard: principals.length === 0,
    facts: { keyType: key.type, comment: key.comment },
  }
}

// sshd(8): YYYYMMDD or YYYYMMDDHHMM[SS], in the host's zone unless it ends in Z. Without the Z nobody can say which zone that is.
function expiryOf(text: string | undefined): Date | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z?$/.exec(text ?? '')
  if (!parts) return undefined
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts
    .slice(1)
    .map((part) => Number(part ?? 0))
  return instantOf(`${pad(year, 4)}-${pad(month)}-${pad(day)}T${pad(hour)}:${pad(minute)}:${pad(second)}Z`)
}

const pad = (value: number, length = 2) => String(value).padStart(length, '0')

function weaknessOf({ type, bits }: PublicKey): { degree: 'weak' | 'deprecated'; why: string } | undefined {
  if (type.startsWith('ssh-dss')) return { degree: 'deprecated', why: 'it is of type DSA' }
  return bits !== undefined && bits < 2048 ? { degree: 'weak', why: `its RSA key has ${bits} bits` } : undefined
}

const TOLD =
  /^(permitrootlogin|passwordauthentication|kbdinteractiveauthentication|pubkeyauthentication|permitemptypasswords|hostbasedauthentication|gssapiauthentication|usepam|strictmodes|maxauthtries|x11forwarding|allowtcpforwarding|allowagentforwarding|gatewayports|permituserenvironment|permituserrc|authorizedkeysfile|authorizedkeyscommand|authorizedprincipalsfile|trustedusercakeys|revokedkeys|allowusers|allowgroups|denyusers|denygroups|authenticationmethods|loglevel|port)$/

/** What sshd goes by, as it says itself, and the authorities whose certificates it takes. */
export async function* readSshd(host: Host): AsyncGenerator<Page, ScopeReport> {
  const record = host.records.find(({ word }) => word === 'sshd')
  if (!record) {
    if (!host.isRoot) throw new Denied(SSHD_MISSING)
    return { status: 'partial', missing: [{ what: 'the settings of sshd', why: 'sshd -T did not tell them' }] }
  }
  const facts: Record<string, string | string[]> = {}
  for (const line of linesOf(record, 0)) {
    const [name = '', ...rest] = line.split(' ')
    if (!TOLD.test(name)) continue
    const before = facts[name]
    const value = rest.join(' ')
    facts[name] = before === undefined ? value : [...(typeof before === 'string' ? [before] : before), value]
  }
  const sshd: Observation = {
    kind: 'resource',
    id: SSHD,
    type: 'sshd',
    name: `sshd of ${host.settings.host}`,
    environment: unknown('unsupported'),
    sensitivity: unknown('unsupported'),
    facts,
  }
  yield* pagesOf([sshd, ...authoritiesOf(host)])
  return { status: 'complete', missing: [] }
}

function authoritiesOf(host: Host): Observation[] {
  const record = host.records.find(({ word }) => word === 'ca')
  const keys = record ? linesOf(record, 1).map((line) => readKey(line)) : []
  const once = new Map(keys.flatMap((key) => (key ? [[key.fingerprint, key] as const] : [])))
  return [...once.values()].map((key) => authority({ kind: 'user-authority', id: key.fingerprint }, key, SSHD, []))
}
