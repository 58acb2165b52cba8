/** What the API says of the ledger: reading entries, proving one, taking the whole away. */
import { z } from 'zod'
import { personal, shown } from '../kernel/event.ts'
import { Id } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { operation, pageOf, PageQuery } from '../kernel/operation.ts'
import { notFound, problem } from '../kernel/problem.ts'

const EntryId = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const Note = shown(z.string().max(262_144).describe('a signed note (C2SP tlog-checkpoint)'))
const Origin = shown(z.string().max(300).describe('name of the log'))
const Hash = z.string().max(44).meta({ classification: 'public' })

/** The log holds nothing that was signed yet. */
export const nothingSigned = problem('nothing-signed', 409, 'Nothing of this was signed yet', {
  entryId: z.int().nullable(),
})

/** A cause: personal fields are commitments here. */
export const LedgerEntry = z
  .object({
    id: shown(z.int()),
    at: Instant,
    kind: shown(z.string()),
    actorId: Id.nullable(),
    resourceId: Id.nullable(),
    grantId: Id.nullable(),
    origin: Origin.nullable().describe('the log it stands in; null until it has its place'),
    position: shown(z.int().nullable().describe('its index in that log')),
    leaf: shown(z.record(z.string(), z.json()).describe('what is hashed into the tree, decoded')),
  })
  .meta({ id: 'LedgerEntry' })
export type LedgerEntry = z.output<typeof LedgerEntry>

export const listEntries = operation({
  id: 'ledger.list',
  method: 'GET',
  path: '/v1/ledger/entries',
  summary: 'Lists the causes of changes, newest first',
  function: 'governance',
  resource: 'Ledger',
  query: PageQuery.extend({
    grant: Id.optional(),
    resource: Id.optional().describe('id of the thing it is about'),
    kind: z.string().max(100).optional(),
    order: z.enum(['newest', 'oldest']).default('newest'),
  }),
  output: pageOf(LedgerEntry),
})

export const readEntry = operation({
  id: 'ledger.read',
  method: 'GET',
  path: '/v1/ledger/entries/:entry',
  summary: 'Shows one entry',
  function: 'governance',
  resource: 'Ledger',
  params: z.object({ entry: EntryId }),
  output: LedgerEntry,
  problems: [notFound],
})

export const Receipt = z
  .object({
    origin: Origin,
    index: shown(z.int()),
    size: shown(z.int().describe('entries of the tree it is proven in')),
    leaf: shown(z.string().describe('the exact bytes that the proof is about; they are UTF-8')),
    proof: shown(z.string().describe('a C2SP tlog-proof: keep it, it needs nobody to verify')),
  })
  .meta({ id: 'LedgerReceipt' })
export type Receipt = z.output<typeof Receipt>

export const proveEntry = operation({
  id: 'ledger.prove',
  method: 'GET',
  path: '/v1/ledger/entries/:entry/proof',
  summary: 'Proves that an entry is in the signed log',
  function: 'governance',
  resource: 'Ledger',
  params: z.object({ entry: EntryId }),
  output: Receipt,
  problems: [notFound, nothingSigned],
})

export const LogCheckpoint = z
  .object({ origin: Origin, size: shown(z.int()), at: Instant, note: Note })
  .meta({ id: 'LedgerCheckpoint' })

export const readCheckpoint = operation({
  id: 'ledger.checkpoint',
  method: 'GET',
  path: '/v1/ledger/checkpoint',
  summary: 'Shows the last signed checkpoint: keep it, and truncation and fork can be told later',
  function: 'governance',
  resource: 'Ledger',
  output: LogCheckpoint,
  problems: [nothingSigned],
})

export const LogKey = z
  .object({
    log: shown(z.int().describe('its number: it is served as tiles under /v1/ledger/logs/<number>/')),
    origin: Origin,
    key: shown(z.string().max(500).describe('verifier key (C2SP signed-note)')),
    startedAt: Instant,
  })
  .meta({ id: 'LedgerKey' })

export const listKeys = operation({
  id: 'ledger.key',
  method: 'GET',
  path: '/v1/ledger/keys',
  summary: 'Lists the verifier keys of the log and of those it continues, oldest first',
  function: 'governance',
  resource: 'Ledger',
  output: z.object({ items: z.array(LogKey).max(1000) }),
})

// C2SP tlog-tiles. Numbers have one spelling, so that what a path answers can be kept for ever under that path alone.
const LogNumber = z
  .string()
  .regex(/^[1-9]\d{0,4}$/, 'the number of a log, as `reeve ledger key` shows it')
  .describe('number of the log')
const TileLevel = z
  .string()
  .regex(/^(?:\d|[1-5]\d|6[0-3])$/, 'a level from 0 to 63')
  .describe('0 for hashes of entries, each next one for the roots of 256 below')
const TileIndex = z
  .string()
  .max(30)
  .regex(/^(?:x\d{3}\/){0,5}\d{3}(?:\.p\/[1-9]\d{0,2})?$/, 'groups of three digits, as 067, x001/x234/067 or 001.p/8')
  .describe('which tile, as its path has it: 067, x001/x234/067, and with its width where it is partial 001.p/8')
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)

export const readNote = operation({
  id: 'ledger.note',
  method: 'GET',
  path: '/v1/ledger/logs/:log/checkpoint',
  summary: 'Gives the last signed checkpoint of a log as it is, with what witnesses signed (C2SP tlog-tiles)',
  function: 'governance',
  resource: 'Ledger',
  params: z.object({ log: LogNumber }),
  output: Note,
  answer: 'bytes',
  mediaType: 'text/plain; charset=utf-8',
  problems: [notFound, nothingSigned],
})

export const readTile = operation({
  id: 'ledger.tile',
  method: 'GET',
  path: '/v1/ledger/logs/:log/tile/:level/*tile',
  summary: 'Gives a tile of hashes of a log (C2SP tlog-tiles)',
  function: 'governance',
  resource: 'Ledger',
  params: z.object({ log: LogNumber, level: TileLevel, tile: TileIndex }),
  output: Bytes,
  answer: 'bytes',
  caching: 'immutable',
  problems: [notFound],
})

export const readBundle = operation({
  id: 'ledger.bundle',
  method: 'GET',
  path: '/v1/ledger/logs/:log/tile/entries/*tile',
  summary: 'Gives the entries under a tile of level 0, each after its length (C2SP tlog-tiles)',
  function: 'governance',
  resource: 'Ledger',
  params: z.object({ log: LogNumber, tile: TileIndex }),
  output: Bytes,
  answer: 'bytes',
  caching: 'immutable',
  problems: [notFound],
})

/** Lines of the export, in the member order that is their one spelling; see tree/export.ts. */
export const ExportLine = z.union([
  z.object({ leaf: shown(z.int()), hash: Hash, data: shown(z.string().max(87_380)) }),
  z.object({ checkpoint: Note }),
  z.object({ reeveLedgerExport: shown(z.literal(1)), origin: Origin, key: shown(z.string().max(500)) }),
  z.object({ end: shown(z.int()) }),
])

export const exportLedger = operation({
  id: 'ledger.export',
  method: 'GET',
  path: '/v1/ledger/export',
  summary: 'Gives the whole ledger up to its last signed checkpoint, for verification by somebody else',
  function: 'governance',
  resource: 'Ledger',
  output: ExportLine,
  answer: 'stream',
})

export const Revealed = z
  .object({
    field: shown(z.string()),
    value: personal(z.string()).nullable().describe('null when the subject was erased'),
    salt: personal(z.string()).nullable().describe('base64; with the value it opens the commitment'),
    subjectId: Id,
  })
  .meta({ id: 'RevealedField' })

export const revealEntry = operation({
  id: 'ledger.reveal',
  method: 'POST',
  path: '/v1/ledger/entries/:entry/reveal',
  summary: 'Opens the personal fields of an entry, which is itself entered',
  function: 'governance',
  resource: 'Ledger',
  params: z.object({ entry: EntryId }),
  input: z.strictObject({ reason: personal(z.string().trim().min(3).max(500)).describe('why, in a sentence') }),
  output: z.object({ fields: z.array(Revealed).max(100) }),
  problems: [notFound],
})

export const ledgerOperations = [
  listEntries,
  readEntry,
  proveEntry,
  readCheckpoint,
  listKeys,
  readNote,
  readTile,
  readBundle,
  exportLedger,
  revealEntry,
] as const
