import type { Finding, Summary } from '../contract.ts'
import { nameRules } from '../engine/assigned.ts'
import { rules } from '../rules/rules.ts'

export type Format = 'table' | 'json' | 'sarif'

export type Report = {
  readonly findings: readonly Finding[]
  readonly summary: Summary
  readonly version: string
  /** Whether the key of the fingerprints outlives this run. */
  readonly isKeyKept: boolean
}

/** A whole report as text, without its last newline. */
export function formatReport(format: Format, report: Report): string {
  if (format === 'table') return table(report)
  const value = format === 'json' ? { reeveScan: 1, ...report } : sarif(report)
  return JSON.stringify(value, undefined, 2)
}

/** What comes from the source is shown on one line and moves no cursor. */
const shown = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?')

function table({ findings, summary, isKeyKept }: Report): string {
  const rows = findings.map((each) => [
    each.confidence,
    each.rule,
    `${shown(each.path)}:${each.line}:${each.column}`,
    each.preview,
    [each.validity, each.detail, each.commit?.slice(0, 10), each.isPresent === false ? 'no longer there' : null]
      .filter((part) => part !== null && part !== undefined)
      .join(', '),
    each.fingerprint?.value.slice(0, 16) ?? '',
  ])
  const head = ['CONFIDENCE', 'RULE', 'PLACE', 'SHOWN', 'SEEN', isKeyKept ? 'FINGERPRINT' : 'FINGERPRINT (THIS RUN)']
  const widths = head.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => Math.min(row[at]?.length ?? 0, 100))),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd()
  const lines = rows.length > 0 ? [line(head), ...rows.map(line), ''] : []
  return [...lines, ...summaryLines(findings.length, summary)].join('\n')
}

/** What was looked at and what was not, as sentences. */
function summaryLines(found: number, { files, bytes, binary, unread, unreadCount, allowed }: Summary): string[] {
  const megabytes = (bytes / 1e6).toFixed(1)
  return [
    `${found} found in ${files} files, ${megabytes} MB (${binary} of them binary). ${allowed} allowed.`,
    ...(unreadCount > 0 ? [`${unreadCount} could not be read, or not whole:`] : []),
    ...unread.map(({ path, reason }) => `  ${shown(path)}: ${reason}`),
    ...(unreadCount > unread.length ? [`  and ${unreadCount - unread.length} more`] : []),
  ]
}

const LEVEL: Readonly<Record<Finding['confidence'], string>> = { high: 'error', medium: 'warning', low: 'note' }

/** SARIF 2.1.0. What could not be read is a notification of the run, as §3.58 has it. */
function sarif({ findings, summary, version }: Report): unknown {
  const used = [...new Set(findings.map(({ rule }) => rule))].sort()
  const known = new Map([...rules, ...nameRules].map(({ id, what }) => [id, what]))
  const described = new Map(findings.map(({ rule, what }) => [rule, known.get(rule) ?? what]))
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'reeve scan',
            version,
            rules: used.map((id) => ({
              id,
              shortDescription: { text: described.get(id) ?? id },
              properties: { tags: ['security', 'NHI2:2025'] },
            })),
          },
        },
        columnKind: 'utf16CodeUnits',
        invocations: [
          {
            executionSuccessful: true,
            toolExecutionNotifications: summary.unread.map(({ path, reason }) => ({
              level: 'warning',
              message: { text: `Not read: ${reason}` },
              locations: [{ physicalLocation: { artifactLocation: { uri: uriOf(path) } } }],
            })),
          },
        ],
        results: findings.map((each) => resultOf(each, used.indexOf(each.rule))),
      },
    ],
  }
}

function resultOf(each: Finding, ruleIndex: number): unknown {
  const { line, column, endLine, endColumn } = each
  return {
    ruleId: each.rule,
    ruleIndex,
    level: LEVEL[each.confidence],
    message: { text: `${each.what}: ${each.preview} (${each.detail ?? each.validity})` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(each.path) },
          region: { startLine: line, startColumn: column, endLine, endColumn },
        },
      },
    ],
    ...(each.fingerprint && { partialFingerprints: { 'reeveSecret/v1': each.fingerprint.value } }),
    properties: {
      owasp: each.owasp,
      confidence: each.confidence,
      validity: each.validity,
      decodedBy: each.decodedBy,
      commit: each.commit,
      author: each.author,
      committedAt: each.committedAt,
      isPresent: each.isPresent,
    },
  }
}

/** A path as a relative reference (RFC 3986 §4.2). */
function uriOf(path: string): string {
  return path
    .split('/')
    .map((part) => encodeURIComponent(part.toWellFormed()))
    .join('/')
}
