import { z } from 'zod'
import type { Fingerprints } from '../../kernel/fingerprint.ts'
import { Secret } from '../../kernel/secret.ts'
import { OWASP_ID, type Finding } from '../contract.ts'
import { plainValue, previewOf } from '../redact.ts'

/** Results of others come in the shape of our own: the secret in them becomes a fingerprint and is let go. */
const Text = z.string().max(100_000).nullish()
const Line = z.number().int().min(0).nullish()

const Gitleaks = z.array(
  z.object({
    RuleID: z.string().max(200),
    Description: Text,
    File: z.string().max(4096),
    Secret: Text,
    StartLine: Line,
    EndLine: Line,
    StartColumn: Line,
    EndColumn: Line,
    Commit: Text,
    Author: Text,
    Email: Text,
    Date: Text,
  }),
)

const Place = z.object({ file: Text, line: Line, commit: Text, email: Text, timestamp: Text })
const Trufflehog = z.object({
  SourceMetadata: z.object({ Data: z.record(z.string(), Place) }).nullish(),
  DetectorName: z.string().max(200),
  Verified: z.boolean().default(false),
  Raw: Text,
  RawV2: Text,
})

const Region = z.object({
  startLine: Line,
  startColumn: Line,
  endLine: Line,
  endColumn: Line,
  snippet: z.object({ text: Text }).nullish(),
})
/** What gitleaks says of a commit stands among its fingerprints; those of others are theirs, and of any kind. */
const Commit = z.object({ commitSha: Text, author: Text, email: Text, date: Text })
const Sarif = z.object({
  version: z.literal('2.1.0'),
  runs: z.array(
    z.object({
      tool: z.object({ driver: z.object({ name: z.string().max(200) }) }),
      results: z
        .array(
          z.object({
            ruleId: z.string().max(300).default('unknown'),
            partialFingerprints: z.unknown().optional(),
            locations: z
              .array(
                z.object({
                  physicalLocation: z
                    .object({
                      artifactLocation: z.object({ uri: z.string().max(8192).nullish() }).nullish(),
                      region: Region.nullish(),
                    })
                    .nullish(),
                }),
              )
              .default([]),
          }),
        )
        .nullish(),
    }),
  ),
})

type Given = {
  readonly rule: string
  readonly what?: string | null | undefined
  readonly secret?: string | null | undefined
  readonly path: string
  readonly line?: number | null | undefined
  readonly column?: number | null | undefined
  readonly endLine?: number | null | undefined
  readonly endColumn?: number | null | undefined
  readonly commit?: string | null | undefined
  readonly author?: string | null | undefined
  readonly committedAt?: string | null | undefined
  readonly validity?: Finding['validity']
}

/** Reads what gitleaks or TruffleHog wrote as JSON, or SARIF of anybody. Throws a sentence for anything else. */
export function importFindings(text: string, fingerprints: Fingerprints): Finding[] {
  const whole = parsed(text)
  const gitleaks = Gitleaks.safeParse(whole)
  if (gitleaks.success) return gitleaks.data.map((each) => ofGitleaks(each, fingerprints))
  const sarif = Sarif.safeParse(whole)
  if (sarif.success) return sarif.data.runs.flatMap((run) => ofSarif(run, fingerprints))
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const all = whole !== undefined && !Array.isArray(whole) ? [whole] : lines.map(parsed)
  const trufflehog = z.array(Trufflehog).min(1).safeParse(all)
  if (trufflehog.success) return trufflehog.data.map((each) => ofTrufflehog(each, fingerprints))
  throw new Error('It is neither a report of gitleaks or TruffleHog in JSON nor SARIF 2.1.0.')
}

function ofGitleaks(each: z.output<typeof Gitleaks>[number], fingerprints: Fingerprints): Finding {
  return finding(fingerprints, 'gitleaks', {
    rule: each.RuleID,
    what: each.Description,
    secret: unredacted(each.Secret),
    path: each.File,
    line: each.StartLine,
    column: each.StartColumn,
    endLine: each.EndLine,
    endColumn: each.EndColumn,
    author: authorOf(each.Author, each.Email),
    commit: each.Commit,
    committedAt: each.Date,
  })
}

function authorOf(name: string | null | undefined, email: string | null | undefined): string {
  return [name, email && `<${email}>`].filter(Boolean).join(' ')
}

/** What `--redact` of gitleaks leaves is no secret: all that it hid would have one fingerprint. */
function unredacted(secret: string | null | undefined): string | undefined {
  return secret === null || secret === undefined || secret === 'REDACTED' || secret.endsWith('...') ? undefined : secret
}

function ofTrufflehog(each: z.output<typeof Trufflehog>, fingerprints: Fingerprints): Finding {
  const [place] = Object.values(each.SourceMetadata?.Data ?? {})
  return finding(fingerprints, 'trufflehog', {
    rule: each.DetectorName.toLowerCase(),
    secret: each.Raw,
    path: place?.file ?? '',
    line: place?.line,
    commit: place?.commit,
    author: place?.email,
    committedAt: place?.timestamp,
    validity: each.Verified ? 'live' : 'unknown',
  })
}

function ofSarif({ tool, results }: z.output<typeof Sarif>['runs'][number], fingerprints: Fingerprints): Finding[] {
  const from = tool.driver.name.toLowerCase()
  return (results ?? []).map(({ ruleId, locations, partialFingerprints }) => {
    const place = locations[0]?.physicalLocation
    const region = place?.region
    // A snippet is any text around it; of gitleaks it is the secret and nothing else.
    const told = from === 'gitleaks' ? Commit.safeParse(partialFingerprints).data : undefined
    return finding(fingerprints, from, {
      rule: ruleId,
      secret: from === 'gitleaks' ? unredacted(region?.snippet?.text) : undefined,
      commit: told?.commitSha,
      author: authorOf(told?.author, told?.email),
      committedAt: told?.date,
      path: pathOf(place?.artifactLocation?.uri ?? ''),
      line: region?.startLine,
      column: region?.startColumn,
      endLine: region?.endLine,
      endColumn: region?.endColumn,
    })
  })
}

/** SARIF 2.1.0 §3.4.3 has a URI there. Some write the bare path; what no URI can hold is one, and nothing of it is resolved. */
function pathOf(uri: string): string {
  if (!/^[\w.~:/?#[\]@!$&'()*+,;=%-]*$/.test(uri)) return uri
  try {
    return decodeURIComponent(uri.replace(/^file:\/\/(?=\/)/, ''))
  } catch {
    return uri
  }
}

function finding(fingerprints: Fingerprints, from: string, given: Given): Finding {
  const value = given.secret ? plainValue(Buffer.from(given.secret, 'utf8').toString('latin1'), given.rule) : undefined
  const line = Math.max(1, given.line ?? 1)
  const column = Math.max(1, given.column ?? 1)
  const empty = (text: string | null | undefined, most: number) => (text ? text.slice(0, most) : null)
  return {
    rule: given.rule.slice(0, 100),
    what: (given.what ?? given.rule).slice(0, 200),
    issuer: null,
    owasp: OWASP_ID,
    confidence: given.validity === 'live' ? 'high' : 'medium',
    validity: given.validity ?? 'unknown',
    detail: null,
    fingerprint: value ? fingerprints.of(new Secret(value)) : null,
    preview: value ? previewOf(value.toString('latin1')) : '••••',
    path: given.path === '' ? '(no path)' : given.path.slice(0, 4096),
    line,
    column,
    endLine: Math.max(line, given.endLine ?? line),
    endColumn: Math.max(1, given.endColumn ?? column),
    decodedBy: [],
    commit: empty(given.commit, 64),
    author: empty(given.author, 320),
    committedAt: empty(given.committedAt, 40),
    isPresent: null,
    importedFrom: from.slice(0, 40),
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
