/** `from` and `to` are entries of the log `origin`: the first and the last one that may be bad. */
export type Finding = { kind: string; message: string; origin?: string; from?: number; to?: number }

/** The caller gave something unusable: exit code 2. */
export class UsageError extends Error {}

/** Stops reading: after this nothing in the file can be relied on. */
export class Stop extends Error {
  readonly finding: Finding
  constructor(kind: string, message: string, where: Omit<Finding, 'kind' | 'message'> = {}) {
    super(message)
    this.finding = { kind, message, ...where }
  }
}

type FoundEntry = { origin: string; index: number; sha256: string; data: string }
export type Report = {
  ok: boolean
  findings: Finding[]
  logs: { origin: string; entries: number; checkpoints: number; signedSize: number; root: string }[]
  openings: number
  checked: string[]
  notChecked: string[]
  entries: FoundEntry[]
}

/** A file that is wrong all over is not worth more. */
const FINDINGS_MAX = 20

export function fail(report: Report, finding: Finding): void {
  if (report.findings.length < FINDINGS_MAX) report.findings.push(finding)
}
