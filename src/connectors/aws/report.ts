/** The credential report: passwords, MFA and signing certificates of users, and what the root of the account has. */
import { xmlText } from '../../kernel/aws/xml.ts'
import { sleep } from '../../kernel/timer.ts'
import {
  credential,
  Holes,
  inPages,
  known,
  unknown,
  Unreadable,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { instantOf, whenOf } from './account.ts'
import { call, listOf, orMissing, pages, wordOf, type Iam } from './api.ts'
import { listUsers } from './keys.ts'
import { rootId } from './things.ts'

/** A report is made within seconds; IAM gives the last one for four hours. */
const TRIES = 30
const PAUSE_MS = 2_000
const ROWS_MAX = 20_000
const ROOT_NAME = '<root_account>'

type Row = Readonly<Record<string, string>>
type Owner = { readonly id: NativeId; readonly name: string; readonly isRoot: boolean }

export async function* readReport(iam: Iam, account: string, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const rows = await reportOf(iam, signal)
  const ids = new Map((await listUsers(iam, signal)).map(({ arn, id }) => [arn, id]))
  const holes = new Holes()
  const told: Observation[] = []
  for (const row of rows) {
    signal.throwIfAborted()
    const { user = '', arn = '' } = row
    const isRoot = user === ROOT_NAME
    const id = ids.get(arn)
    // Who was made since the report is in none.
    if (!isRoot && id === undefined) continue
    const owner: Owner = {
      id: isRoot ? rootId(account) : { kind: 'user', id: id ?? '' },
      name: isRoot ? 'root' : user,
      isRoot,
    }
    const devices = row['mfa_active'] === 'true' && !isRoot ? await devicesOf(iam, user, holes, signal) : []
    told.push(...tellRow(row, owner, devices))
  }
  yield* inPages(told)
  const missing = holes.all()
  return { status: missing.length > 0 ? 'partial' : 'complete', missing: [...missing, ...lateOf(rows, ids)] }
}

async function reportOf(iam: Iam, signal: AbortSignal): Promise<Row[]> {
  for (let tries = 0; ; tries += 1) {
    const state = xmlText(await call(iam, 'GenerateCredentialReport', {}, signal), 'State')
    if (state === 'COMPLETE') break
    if (state !== 'STARTED' && state !== 'INPROGRESS')
      throw new Unreadable('IAM does not say how far its credential report is')
    if (tries >= TRIES) throw new Unreadable('IAM did not end its credential report')
    if (tries > 0) await sleep(PAUSE_MS, signal)
  }
  const content = xmlText(await call(iam, 'GetCredentialReport', {}, signal), 'Content')
  if (content === undefined) throw new Unreadable('IAM answered without its credential report')
  return readReportText(Buffer.from(content, 'base64').toString('utf8'))
}

/**
 * Columns by their names. A name of a user may have commas, which the report does not mark: it stands in the first two columns only, once in itself
 * and once in the ARN, so both get the same share of what is too much.
 */
export function readReportText(text: string): Row[] {
  const [head = '', ...lines] = text.split(/\r?\n/).filter((line) => line !== '')
  const columns = head.split(',')
  if (columns[0] !== 'user' || columns[1] !== 'arn' || lines.length > ROWS_MAX) {
    throw new Unreadable('the credential report is written in another way than IAM has it')
  }
  return lines.map((line) => {
    const cells = line.split(',')
    const more = (cells.length - columns.length) / 2
    if (!Number.isInteger(more) || more < 0) throw new Unreadable('a row of the credential report is not whole')
    const whole = [
      cells.slice(0, 1 + more).join(','),
      cells.slice(1 + more, 2 + 2 * more).join(','),
      ...cells.slice(2 + 2 * more),
    ]
    return Object.fromEntries(columns.map((column, at) => [column, unquoted(whole[at] ?? '')]))
  })
}

function unquoted(cell: string): string {
  return cell.length > 1 && cell.startsWith('"') && cell.endsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell
}

/** What a user confirms a login with, by the form of its serial number. Seeds are in none of these answers. */
async function devicesOf(iam: Iam, user: string, holes: Holes, signal: AbortSignal): Promise<readonly string[]> {
  return orMissing(async () => {
    const found: string[] = []
    for await (const page of pages(iam, 'ListMFADevices', { UserName: user }, signal))
      found.push(...listOf(page, 'MFADevices').map((device) => deviceKind(wordOf(device, 'SerialNumber'))))
    return found
  }, holes)
}

function deviceKind(serial: string): string {
  if (/:mfa\//.test(serial)) return 'virtual'
  return /:u2f\//.test(serial) ? 'passkey' : 'hardware'
}

function tellRow(row: Row, owner: Owner, devices: readonly string[]): Observation[] {
  return [...tellPassword(row, owner, devices), ...tellRootKeys(row, owner), ...tellCertificates(row, owner)]
}

function tellPassword(row: Row, { id, name, isRoot }: Owner, devices: readonly string[]): Observation[] {
  // The root always has one; IAM says `not_supported` of it.
  if (row['password_enabled'] !== 'true' && !isRoot) return []
  const hasMfa = row['mfa_active'] === 'true'
  const ends = instantOf(row['password_next_rotation'])
  const password: NativeId = { kind: 'password', id: `${id.kind}/${id.id}` }
  const usedAt = instantOf(row['password_last_used'])
  return [
    credential({
      id: password,
      principal: known(id),
      type: 'password',
      name: `${name}: password`,
      state: known('active'),
      rotatedAt: whenOf(row['password_last_changed']),
      expiresAt: known(ends ?? 'never'),
      scopes: known([]),
      bindings: known([]),
      strength: known(hasMfa ? 'strong' : 'weak'),
      strengthWhy: hasMfa
        ? []
        : [isRoot ? 'the root of the account has no second factor' : 'a password alone, without a second factor'],
      facts: { hasMfa, ...(devices.length > 0 && { mfa: [...devices] }) },
    }),
    ...(usedAt
      ? [{ kind: 'usage' as const, subject: id, semantics: 'auth' as const, at: usedAt, actor: unknown('unsupported') }]
      : []),
  ]
}

/** Keys of the root have an id that no API tells. */
function tellRootKeys(row: Row, { id, isRoot }: Owner): Observation[] {
  if (!isRoot) return []
  return ['1', '2'].flatMap((slot): Observation[] => {
    if (row[`access_key_${slot}_active`] !== 'true') return []
    const key: NativeId = { kind: 'root-access-key', id: `${id.id}/${slot}` }
    const usedAt = instantOf(row[`access_key_${slot}_last_used_date`])
    const service = row[`access_key_${slot}_last_used_service`]
    const about = service === undefined || service === 'N/A' ? {} : { privilege: `${service}:*` }
    return [
      credential({
        id: key,
        principal: known(id),
        type: 'api-key',
        name: `root: access key ${slot}`,
        rotatedAt: whenOf(row[`access_key_${slot}_last_rotated`]),
        createdAt: whenOf(row[`access_key_${slot}_last_rotated`]),
        expiresAt: known('never'),
        strength: known('weak'),
        strengthWhy: ['it is a key of the root of the account, which no policy bounds'],
      }),
      ...(usedAt
        ? [
            {
              kind: 'usage' as const,
              subject: key,
              semantics: 'api-call' as const,
              at: usedAt,
              ...about,
              actor: unknown('unsupported'),
            },
          ]
        : []),
    ]
  })
}

function tellCertificates(row: Row, { id, name }: Owner): Observation[] {
  return ['1', '2'].flatMap((slot): Observation[] => {
    if (row[`cert_${slot}_active`] !== 'true') return []
    return [
      credential({
        id: { kind: 'signing-certificate', id: `${id.kind}/${id.id}/${slot}` },
        principal: known(id),
        type: 'certificate',
        name: `${name}: signing certificate ${slot}`,
        rotatedAt: whenOf(row[`cert_${slot}_last_rotated`]),
      }),
    ]
  })
}

function lateOf(rows: readonly Row[], ids: ReadonlyMap<string, string>): Missing[] {
  const told = new Set(rows.map(({ arn }) => arn))
  const late = [...ids.keys()].filter((arn) => !told.has(arn)).length
  return late === 0
    ? []
    : [
        {
          what: `passwords of ${late} users`,
          why: 'they are younger than the report, which IAM makes every four hours',
        },
      ]
}
