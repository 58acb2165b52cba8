import { z } from 'zod'
import { sha256 } from '../../kernel/crypto.ts'
import { problem } from '../../kernel/problem.ts'
import { SIGNAL_TYPES } from './signal-types.ts'

/** Everything the score knows how to weigh. A new factor is a name here, a weight, and a reading in `factors.ts`. */
export const FACTOR_NAMES = [
  'target-tier',
  'action-tier',
  'environment',
  'ownership',
  'binding',
  'credential-age',
  'dormancy',
  'time',
  'network',
  'delegation',
  'freeze',
  'findings',
  'signals',
] as const
export type FactorName = (typeof FACTOR_NAMES)[number]

/** Thousandths: the score is computed in whole numbers, so that it is the same on every machine and in every order. */
const Weight = z.number().min(0).max(1).multipleOf(0.001)
const Days = z.int().min(1).max(3650)

const RiskModelFile = z.strictObject({
  version: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  weights: z.strictObject({
    'target-tier': Weight,
    'action-tier': Weight,
    environment: Weight,
    ownership: Weight,
    binding: Weight,
    'credential-age': Weight,
    dormancy: Weight,
    time: Weight,
    network: Weight,
    delegation: Weight,
    freeze: Weight,
    findings: Weight,
    // A file that was written before there were signals stays one.
    signals: Weight.default(0.6),
  }),
  limits: z.strictObject({
    credentialDays: Days.describe('a credential this old counts in full'),
    dormantDays: Days.describe('an identity unused for so long counts in full'),
    habitUses: z.int().min(1).max(400).describe('fewer uses than this are no habit to compare with'),
    findings: z.int().min(1).max(1000).describe('so many open findings count in full'),
  }),
  signals: z
    .strictObject({
      ends: z
        .array(z.enum(SIGNAL_TYPES))
        .max(SIGNAL_TYPES.length)
        .default(['session-revoked', 'account-disabled', 'account-purged', 'credential-compromise'])
        .describe('signals that end the grants they are about at once; all others only raise the risk'),
    })
    .prefault({}),
})
type RiskModelFile = z.output<typeof RiskModelFile>

/** The weights as one version: immutable, named by its hash. */
export type RiskModel = RiskModelFile & { readonly sha256: string }

export const riskModelInvalid = problem('risk-model-invalid', 422, 'The risk model is not valid', {
  faults: z.array(z.string()).max(100),
})

/** Checks and hashes a model. Throws `riskModelInvalid` with each fault's place. */
export function riskModelFrom(value: unknown): RiskModel {
  const parsed = RiskModelFile.safeParse(value)
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'top'}: ${issue.message}`)
    throw riskModelInvalid(`The risk model is not valid. ${faults.slice(0, 10).join('; ')}`, {
      faults: faults.slice(0, 100),
    })
  }
  const { version, weights, limits, signals } = parsed.data
  const shares = FACTOR_NAMES.map((name) => weights[name])
  const canonical = JSON.stringify([version, shares, sorted(limits), [...new Set(signals.ends)].sort()])
  return Object.freeze({ ...parsed.data, sha256: sha256(canonical).toString('hex') })
}

function sorted(record: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
}

/**
 * The weights Reeve ships. What is reached weighs most, then how it was reached; habits weigh least, since they are also what a new
 * identity lacks. The worst of both tiers by an established identity stays under 75, and tier 2 by one stays under 40.
 * A received signal weighs most of all: it is the only fact that says something is wrong now.
 */
export const SHIPPED_RISK_MODEL: RiskModel = riskModelFrom({
  version: '2',
  weights: {
    'target-tier': 0.35,
    'action-tier': 0.35,
    environment: 0.25,
    ownership: 0.2,
    binding: 0.15,
    'credential-age': 0.1,
    dormancy: 0.1,
    time: 0.08,
    network: 0.1,
    delegation: 0.15,
    freeze: 0.3,
    findings: 0.15,
    signals: 0.6,
  },
  limits: { credentialDays: 90, dormantDays: 90, habitUses: 10, findings: 3 },
})
