import {
  certificateIn,
  known,
  pemBlocks,
  tellCertificates,
  tellPrivateKey,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { readPublicKey, sha256 } from '../../kernel/crypto.ts'
import { pagesOf } from './accounts.ts'
import { closedOf, needsRoot, type Host } from './host.ts'
import { modeOf, textOf, type HostRecord } from './records.ts'

export const JOBS_MISSING = needsRoot('tables of cron of other accounts')
export const CERTIFICATES_MISSING = needsRoot('certificate files that the login may not read')

function modeFacts(record: HostRecord, at: number) {
  const mode = modeOf(record, at)
  if (!mode) return { exists: false }
  const bits = Number.parseInt(mode.mode, 8)
  return { exists: true, ...mode, othersMayRead: (bits & 0o004) !== 0, groupMayRead: (bits & 0o040) !== 0 }
}

/** Units of systemd and tables of cron that name files of credentials: the paths, their owners and permission bits, never what is in them. */
export async function* readJobs(host: Host): AsyncGenerator<Page, ScopeReport> {
  const once = new Map<string, Observation>()
  const put = (key: string, observation: Observation) => {
    if (!once.has(key)) once.set(key, observation)
  }
  for (const record of host.records) {
    if (record.word !== 'job') continue
    const [kind, job, user, how, path] = [0, 1, 2, 3, 4].map((at) => textOf(record, at))
    if (!job || !path) continue
    const file: NativeId = { kind: 'credential-file', id: path }
    const consumer: NativeId = { kind: 'job', id: job }
    const facts = modeFacts(record, 5)
    put(`job ${job}`, {
      kind: 'resource',
      id: consumer,
      type: kind === 'unit' ? 'systemd-unit' : 'cron-table',
      name: job,
      environment: unknown('unsupported'),
      sensitivity: unknown('unsupported'),
      facts: { runsAs: user || (kind === 'unit' ? 'root' : null) },
    })
    put(`file ${path}`, storedIn(file, path, facts))
    put(`use ${job} ${path}`, {
      kind: 'reference',
      id: { kind: 'job-use', id: `${job}#${path}` },
      consumer,
      credential: file,
      how: how === 'environment-file' ? 'env' : 'file',
      location: path,
      evidence: 'static',
      facts: { named: how ?? '', runsAs: user || null, ...facts },
    })
  }
  yield* pagesOf([...once.values()])
  return reportOf(host, 'jobs', JOBS_MISSING)
}

function storedIn(id: NativeId, path: string, facts: Record<string, string | number | boolean>): Observation {
  return {
    kind: 'credential',
    id,
    principal: unknown('unsupported'),
    type: 'stored-secret',
    name: path,
    state: unknown('not-collected'),
    createdAt: unknown('unsupported'),
    rotatedAt: unknown('unsupported'),
    expiresAt: unknown('unsupported'),
    // What is in it never leaves the host, so nothing can be compared.
    fingerprints: unknown('not-collected'),
    scopes: unknown('unsupported'),
    bindings: unknown('unsupported'),
    strength: unknown('not-collected'),
    heldBy: known('file'),
    facts,
  }
}

/** Certificates in files of the host, and the public halves of the keys beside them. */
export async function* readCertificates(host: Host): AsyncGenerator<Page, ScopeReport> {
  const files = new Map<string, Observation>()
  const told: Observation[] = []
  let [damaged, locked] = [0, 0]
  for (const record of host.records) {
    if (record.word !== 'cert' && record.word !== 'pkey') continue
    const path = textOf(record, 0)
    const id: NativeId = { kind: 'file', id: path }
    const facts = modeFacts(record, 1)
    const place = { id, location: path, facts }
    const isKey = record.word === 'pkey'
    if (isKey || !files.has(path)) files.set(path, fileOf(id, path, { ...facts, holdsPrivateKey: isKey }))
    const text = textOf(record, 2)
    if (isKey) {
      const half = readPublicKey(text)
      if (half) told.push(tellPrivateKey(sha256(half.spki).toString('hex'), place))
      else locked += 1
      continue
    }
    const found = [...pemBlocks(text)].map((block) => certificateIn(block))
    damaged += found.filter((each) => each === 'damaged').length
    const whole = found.filter((each) => typeof each === 'object')
    told.push(...tellCertificates(whole, { ...place, how: 'file' }, host.now))
  }
  yield* pagesOf([...files.values(), ...told])
  const report = reportOf(host, 'certificates', CERTIFICATES_MISSING)
  const closed: Missing[] = [
    { what: `${damaged} certificates`, why: 'they are damaged' },
    { what: `${locked} private keys`, why: 'they are encrypted, or the host has no openssl to name their public half' },
  ].filter((_, at) => [damaged, locked][at] !== 0)
  return { ...report, missing: [...report.missing, ...closed] }
}

function fileOf(id: NativeId, name: string, facts: Record<string, string | number | boolean>): Observation {
  return {
    kind: 'resource',
    id,
    type: facts['holdsPrivateKey'] === true ? 'private-key-file' : 'certificate-file',
    name,
    environment: unknown('unsupported'),
    sensitivity: unknown('unsupported'),
    facts,
  }
}

function reportOf(host: Host, part: string, missing: Missing): ScopeReport {
  const closed = closedOf(host, part)
  if (closed.length === 0) return { status: 'complete', missing: [] }
  if (!host.isRoot) return { status: 'partial', missing: [missing] }
  return { status: 'partial', missing: closed.map((path) => ({ what: path, why: 'it could not be read to its end' })) }
}
