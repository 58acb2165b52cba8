import { access, constants } from 'node:fs/promises'
import {
  placeAuthority,
  scimTold,
  Unreadable,
  type Connector,
  type Given,
  type Manifest,
  type Missing,
  type Observation,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
} from '../connector.ts'
import { rowsOf, SHUT, type Row, type RowTally } from './rows.ts'
import { TableSourceSettings } from './settings.ts'
import { toldBy } from './told.ts'

const PAGE_OBSERVATIONS = 500
/** Ids are held to tell each thing once; a register of more comes from something with a connector of its own. */
const THINGS_MAX = 1_000_000

const manifest: Manifest = {
  id: 'table',
  version: '1',
  source: 'A file of rows: CSV, JSON, or an export of SCIM',
  observes: ['principal', 'credential', 'resource', 'grant'],
  reads: [
    {
      scope: 'rows',
      gives: 'principals, credentials and grants, by what the settings say the columns mean',
      permission: SHUT.permission ?? '',
      isOptional: false,
    },
  ],
  writes: [],
  blindSpots: [
    'whether the file is still true: it says what it said when it was written',
    'whether the file is all there is: a complete file that leaves something out makes it gone',
    'instants that are not RFC 3339 or a day of it: they are unknown',
    'two rows of one id: the first counts',
    'columns that no mapping names',
  ],
  metadataHandling:
    'Columns that a mapping names are kept as text. A column named as `secret` leaves as a keyed fingerprint and nothing else.',
  risks: ['NHI1:2025', 'NHI5:2025', 'NHI7:2025'],
}

/** Reads what no connector reads: whatever can be written as rows. */
export const tableConnector: Connector = {
  manifest,
  settings: TableSourceSettings,
  credential: undefined,
  address: (given) => `file://${encodeURI(TableSourceSettings.parse(given).path)}`,
  async open(given, signal) {
    signal.throwIfAborted()
    return opened(TableSourceSettings.parse(given.settings), given)
  },
}

function opened(settings: TableSourceSettings, { fingerprint }: Given): OpenSource {
  return {
    async probe() {
      const authority = await placeAuthority('table', [settings.path, settings.format])
      return { authority, system: `rows of ${settings.format}`, scopes: [await probed(settings.path)] }
    },
    async *scopes() {
      yield { scope: 'rows', title: `rows of ${settings.path}` }
      return { isAll: true, missing: [] }
    },
    read(scope, _since, signal) {
      if (scope !== 'rows') throw new Unreadable('there is no such scope')
      return read(settings, fingerprint, signal)
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

async function probed(path: string): Promise<ProbedScope> {
  try {
    await access(path, constants.R_OK)
    return { scope: 'rows', isVisible: true, missing: [] }
  } catch {
    return { scope: 'rows', isVisible: false, missing: [SHUT] }
  }
}

async function* read(
  settings: TableSourceSettings,
  fingerprint: Given['fingerprint'],
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const tally: RowTally = { odd: 0, columns: undefined }
  const seen = new Set<string>()
  let [nameless, damaged, page]: [number, number, Observation[]] = [0, 0, []]
  for await (const row of rowsOf(settings, tally)) {
    signal.throwIfAborted()
    checkColumns(settings, tally)
    const all = everythingIn(settings, row, fingerprint)
    // A row need not have all that rows may have; one that has nothing is not understood.
    if (all.every((told) => !told)) nameless += 1
    if (all.flat().some((each) => each && isDamaged(each))) damaged += 1
    for (const told of all) {
      for (const each of told ?? []) {
        if (isDamaged(each)) continue
        if (!isFirst(each, seen)) continue
        if (page.length === PAGE_OBSERVATIONS) {
          yield { observations: page }
          page = []
        }
        page.push(each)
      }
    }
    if (seen.size > THINGS_MAX) throw new Unreadable(`it has more than ${THINGS_MAX} things`)
  }
  checkColumns(settings, tally)
  if (page.length > 0) yield { observations: page }
  const missing = missingOf(tally.odd, nameless, damaged)
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

function everythingIn({ format, rows }: TableSourceSettings, row: Row, fingerprint: Given['fingerprint']) {
  return format === 'scim' ? [scimTold(row.whole)] : rows.map((mapping) => toldBy(mapping, row, fingerprint))
}

/** Bytes that are no UTF-8 all become one sign: two things would have one name. */
function isDamaged(observation: Observation): boolean {
  return 'id' in observation && observation.id.id.includes('\ufffd')
}

function isFirst(observation: Observation, seen: Set<string>): boolean {
  const key = 'id' in observation ? `${observation.kind} ${observation.id.id}` : ''
  if (seen.has(key)) return false
  seen.add(key)
  return true
}

/** A heading that was renamed would make everything of it seem gone. */
function checkColumns({ rows }: TableSourceSettings, { columns }: RowTally): void {
  if (!columns) return
  const named = rows.flatMap((row) =>
    row.kind === 'grant'
      ? [row.principal, row.on, row.privilege]
      : [row.id, ...(row.name === undefined ? [] : [row.name])],
  )
  if (named.some((column) => !columns.has(column))) throw new Unreadable('a column that the settings name is not there')
}

function missingOf(odd: number, nameless: number, damaged: number): Missing[] {
  return [
    { count: odd, why: 'they have another form than the rest' },
    { count: nameless, why: 'what names them is empty' },
    { count: damaged, why: 'what names them is not UTF-8' },
  ]
    .filter(({ count }) => count > 0)
    .map(({ count, why }) => ({ what: `${count} rows`, why }))
}
