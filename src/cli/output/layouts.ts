import type { z } from 'zod'
import {
  adoptPrincipals,
  evaluateFindings,
  listCandidates,
  listFindings,
  listServices,
  readPath,
  type CandidatePage,
  type FindingPage,
  type FindingsEvaluated,
  type ServicePage,
} from '../../governance/contract.ts'
import { collectSource, Coverage, readCoverage, readSource, type InventoryCoverage } from '../../inventory/contract.ts'
import { adoptionText, nobodyText, pathText } from './found-layouts.ts'
import { printable } from './printable.ts'
import { nothingFoundText, readingText, sourceText } from './source-layouts.ts'
import { table } from './table.ts'

type Layout = { readonly schema: z.core.$ZodType; readonly text: (value: unknown) => string | undefined }

/** Undefined for what is not of the schema, or has nothing to say of its own. */
function layout<T>(schema: z.ZodType<T>, text: (value: T) => string | undefined): Layout {
  return {
    schema,
    text: (value) => {
      const { data, success } = schema.safeParse(value)
      return success ? text(data) : undefined
    },
  }
}

const LAYOUTS: readonly Layout[] = [
  layout(readCoverage.output, matrixText),
  layout(evaluateFindings.output, evaluationText),
  layout(adoptPrincipals.output, adoptionText),
  layout(readPath.output, pathText),
  layout(listCandidates.output, nobodyFor),
  layout(listServices.output, nobodyFor),
  layout(readSource.output, sourceText),
  layout(collectSource.output, readingText),
  layout(listFindings.output, nothingFound),
]

/** Answers that are neither a list nor one thing's fields, for people; undefined for what has no layout of its own. */
export function laidOut(schema: z.core.$ZodType, value: unknown): string | undefined {
  return LAYOUTS.find((each) => each.schema === schema)?.text(value)
}

function nothingFound(page: FindingPage): string | undefined {
  const text = nothingFoundText(page)
  return text === undefined ? undefined : `${text}${besideText(page.coverage, true)}`
}

function nobodyFor(page: CandidatePage | ServicePage): string | undefined {
  const text = nobodyText(page)
  return text === undefined ? undefined : `${text}${unseenText(page.coverage)}`
}

type Matrix = InventoryCoverage['all']
type Share = Matrix['owner']

/** Rows of the matrix in the order in which they are read: what it is, what it has, what it does not need. */
const ROWS: readonly (readonly [label: string, question: Exclude<keyof Matrix, 'total'>])[] = [
  ['temporary', 'temporary'],
  ['justified', 'justified'],
  ['observable', 'observable'],
  ['fully visible', 'fullyVisible'],
  ['owner', 'owner'],
  ['purpose', 'purpose'],
  ['business service', 'service'],
  ['expiry', 'expiry'],
  ['revocation path', 'revocationPath'],
  ['in a store', 'vaulted'],
  ['brokered privilege', 'brokeredPrivilege'],
  ['unused rights', 'unusedRights'],
]

function matrixText({ identities, all, accounts, credentials, moved, coverage }: InventoryCoverage): string {
  const columns = [...identities.map((row) => ({ ...row, title: row.kind })), { ...all, kind: 'all', title: 'all' }]
  const cells = (kind: string, row: Matrix) => [
    String(row.total),
    ...ROWS.map(([, question]) => shareText(row[question], moved?.[`${kind}.${question}`])),
  ]
  const matrix = table([
    { title: 'identities', cells: ['total', ...ROWS.map(([label]) => label)] },
    ...columns.map(({ title, kind, ...row }) => ({ title, cells: cells(kind, row) })),
  ])
  const { total, vaulted, expiring } = credentials
  const lines = [
    `accounts: ${accounts.total}, ${accounts.claimed} claimed, ${accounts.unclaimed} not, ${accounts.privileged} privileged`,
    `credentials: ${total}, in a store ${shareText(vaulted, moved?.['credential.vaulted'])}, with an end ${shareText(expiring, moved?.['credential.expiring'])}`,
    'n ?: not known, and no part of the percentage',
    moved === null ? 'there is nothing of a week ago to compare with' : '+n, -n: points since about a week ago',
  ]
  return `${matrix}\n${lines.map((line) => `${line}\n`).join('')}${unseenText(coverage)}`
}

/** `60 %, 2 ?, +5`: of all, how many are not known, and how it moved. */
function shareText({ percent, unknown }: Share, moved: number | undefined): string {
  if (percent === null) return '-'
  const way = moved === undefined || moved === 0 ? [] : [moved > 0 ? `+${moved}` : String(moved)]
  return [`${percent} %`, ...(unknown > 0 ? [`${unknown} ?`] : []), ...way].join(', ')
}

function evaluationText({ opened, reopened, restated, fixed, pass, coverage }: FindingsEvaluated): string {
  const head = `opened ${opened}, reopened ${reopened}, on other facts ${restated}, fixed ${fixed}\n`
  const looks = pass.looks.toSorted((a, b) => b.found - a.found || b.unknown - a.unknown || (a.rule < b.rule ? -1 : 1))
  const rules = table([
    { title: 'rule', cells: looks.map(({ rule }) => rule) },
    { title: 'judged', cells: looks.map(({ judged }) => String(judged)) },
    { title: 'found', cells: looks.map(({ found }) => String(found)) },
    { title: 'unknown', cells: looks.map(({ unknown }) => String(unknown)) },
    { title: 'mostly because', cells: looks.map(({ why }) => mostOf(why)) },
  ])
  return `${head}\n${rules}${unseenText(coverage)}`
}

/** The reason that most subjects could not be judged for. */
function mostOf(why: Readonly<Record<string, number>>): string {
  const [most] = Object.entries(why).toSorted(([, a], [, b]) => b - a)
  return most ? `${most[0]} (${most[1]})` : '-'
}

const SHOWN = 10
/** Beside rows that somebody asked for. */
const SHOWN_BESIDE = 3

/** What any other answer does not see; nothing where it carries no coverage, or has rows and everything was seen. */
export function besideText(coverage: unknown, isEmpty: boolean): string {
  const { data } = Coverage.safeParse(coverage)
  if (!data || (data.isWhole && !isEmpty)) return ''
  return data.isWhole
    ? unseenText(data)
    : `\nNot everything was seen: reeve inventory coverage${unseenText(data, SHOWN_BESIDE)}`
}

/** The same of a list that has it in sentences. */
export function notSeenText(unseen: readonly unknown[], more: unknown): string {
  if (unseen.length === 0) return ''
  const told = unseen.slice(0, SHOWN_BESIDE)
  const rest = unseen.length - told.length + (typeof more === 'number' ? more : 0)
  const lines = [...told.map((each) => `not seen: ${String(each)}`), ...(rest > 0 ? [`not seen: ${rest} more`] : [])]
  const text = lines.map((line) => `${printable(line)}\n`).join('')
  return `\nNot everything was seen: reeve inventory coverage\n${text}`
}

function unseenText({ isWhole, sources, unseen, more }: Coverage, most = SHOWN): string {
  if (isWhole) return `\nall ${sources} sources were seen whole\n`
  const told = unseen.slice(0, most).map(({ source, scope, status, what, why, permission }) => {
    const shows = permission === undefined ? '' : `; it takes ${permission}`
    return `not seen: ${source}${scope === null ? '' : ` ${scope}`} (${status}): ${what}: ${why}${shows}`
  })
  const rest = unseen.length - told.length + more
  const lines = [...told, ...(rest > 0 ? [`not seen: ${rest} more, see reeve source read`] : [])]
  return `\n${lines.map((line) => `${printable(line)}\n`).join('')}`
}
