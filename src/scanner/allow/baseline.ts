import { z } from 'zod'
import type { Finding } from '../contract.ts'

/** Findings of before that are known. A secret that turns up at another path is a new finding. */
const Baseline = z.strictObject({
  reeveScanBaseline: z.literal(1),
  keyId: z.string().max(64),
  findings: z
    .array(z.strictObject({ rule: z.string().max(100), path: z.string().max(4096), fingerprint: z.string().max(64) }))
    .max(1_000_000),
})
type Baseline = z.output<typeof Baseline>

/** What is kept of findings: no preview, no line. */
export function baselineOf(findings: readonly Finding[], keyId: string): Baseline {
  const kept = findings.flatMap(({ rule, path, fingerprint }) =>
    fingerprint === null ? [] : [{ rule, path, fingerprint: fingerprint.value }],
  )
  const sorted = [...new Map(kept.map((each) => [keyOf(each), each])).values()]
  return { reeveScanBaseline: 1, keyId, findings: sorted.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)) }
}

/** Reads a baseline that was made under this key; throws a sentence otherwise. */
export function readBaseline(text: string, keyId: string): Baseline {
  const read = Baseline.safeParse(JSON.parse(text))
  if (!read.success) throw new Error(`It is no baseline: ${z.prettifyError(read.error)}`)
  if (read.data.keyId !== keyId)
    throw new Error('The baseline was made under another key: nothing in it can be recognised.')
  return read.data
}

/** What is new since the baseline, how much is known, and what is gone. */
export function against(
  baseline: Baseline,
  findings: readonly Finding[],
): { readonly added: Finding[]; readonly known: number; readonly removed: Baseline['findings'] } {
  const before = new Set(baseline.findings.map(keyOf))
  const now = new Set(findings.map((each) => keyOf({ ...each, fingerprint: each.fingerprint?.value ?? '' })))
  const added = findings.filter((each) => !before.has(keyOf({ ...each, fingerprint: each.fingerprint?.value ?? '' })))
  return {
    added,
    known: findings.length - added.length,
    removed: baseline.findings.filter((each) => !now.has(keyOf(each))),
  }
}

function keyOf({ rule, path, fingerprint }: Baseline['findings'][number]): string {
  return `${rule}\0${path}\0${fingerprint}`
}
