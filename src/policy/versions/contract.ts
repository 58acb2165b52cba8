import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../../kernel/operation.ts'
import { conflict, notFound, problem } from '../../kernel/problem.ts'
import { policySetInvalid } from '../faults.ts'
import { riskModelInvalid } from '../risk/model.ts'

export const policiesPinned = problem('policies-pinned', 409, 'A folder of files decides which policies there are', {})
export const policiesLockOut = problem('policies-lock-out', 422, 'Nobody could change these policies again', {
  missing: z.array(z.string()).max(10),
})
export const nothingBefore = problem('nothing-before', 409, 'There is no version of the policies to go back to', {})

/** More text than this is no set of policies that somebody reads. */
const MAX_FILES = 200
const FileName = shown(
  z
    .string()
    .max(128)
    .regex(
      /^(?:[A-Za-z0-9][A-Za-z0-9._-]*\.cedar|risk\.json|authzen\.yaml)$/,
      'name a .cedar file, risk.json or authzen.yaml',
    ),
)
/** The text of one file of a version. */
const File = z
  .strictObject({ name: FileName, text: shown(z.string().max(500_000)) })
  .meta({ id: 'PolicyVersionFile', classification: 'public' })
const Files = shown(
  z
    .array(File)
    .min(1)
    .max(MAX_FILES)
    .refine((files) => new Set(files.map(({ name }) => name)).size === files.length, 'a file stands there twice')
    .refine((files) => files.some(({ name }) => name.endsWith('.cedar')), 'there is no .cedar file'),
)
export type PolicyFiles = z.output<typeof Files>

const Sha256 = shown(z.string().regex(/^[0-9a-f]{64}$/))

/** One version of the policies: whole, and never changed. */
export const PolicyVersion = z
  .object({
    id: Id,
    sha256: Sha256.describe('of the set as it decides; named by every decision it makes'),
    origin: shown(z.enum(['shipped', 'proposed'])),
    isActive: shown(z.boolean()),
    note: Reason.nullable(),
    proposedById: Id.nullable(),
    proposedBy: Slug.nullable(),
    createdAt: Instant,
    activatedAt: Instant.nullable().describe('when it last began to decide'),
  })
  .meta({ id: 'PolicyVersion' })
export type PolicyVersion = z.output<typeof PolicyVersion>

export const PolicyVersionDetail = PolicyVersion.extend({
  files: Files,
  difference: shown(z.array(z.string())).describe('what activating it would change of the policies that decide now'),
}).meta({ id: 'PolicyVersionDetail' })

export const ProposePolicies = z.strictObject({ files: Files, note: Reason.optional() })
export type ProposePolicies = z.output<typeof ProposePolicies>

const oneVersion = z.object({ version: Id })
const validity = [policiesPinned, policySetInvalid, riskModelInvalid]

export const proposePolicies = operation({
  id: 'policy.propose',
  method: 'POST',
  path: '/v1/policies',
  summary: 'Keeps a version of the policies, checked as a whole; it decides nothing until it is activated.',
  function: 'governance',
  resource: 'Installation',
  input: ProposePolicies,
  output: PolicyVersion,
  status: 201,
  problems: validity,
})
export const listPolicyVersions = operation({
  id: 'policy.list',
  method: 'GET',
  path: '/v1/policies',
  summary: 'Lists the versions of the policies, newest first.',
  function: 'governance',
  resource: 'Installation',
  query: PageQuery,
  output: pageOf(PolicyVersion),
})
export const readPolicyVersion = operation({
  id: 'policy.read',
  method: 'GET',
  path: '/v1/policies/:version',
  summary: 'Reads a version of the policies, and what activating it would change.',
  function: 'governance',
  resource: 'PolicySet',
  params: oneVersion,
  output: PolicyVersionDetail,
  problems: [notFound],
})
export const activatePolicies = operation({
  id: 'policy.activate',
  method: 'POST',
  path: '/v1/policies/:version/activate',
  summary: 'Lets a version of the policies decide from now on, on every node.',
  function: 'governance',
  resource: 'PolicySet',
  params: oneVersion,
  output: PolicyVersion,
  problems: [notFound, conflict, policiesLockOut, ...validity],
})
export const revertPolicies = operation({
  id: 'policy.revert',
  method: 'POST',
  path: '/v1/policies/revert',
  summary: 'Goes back to the version of the policies that decided before.',
  function: 'governance',
  resource: 'PolicySet',
  output: PolicyVersion,
  problems: [conflict, nothingBefore, policiesLockOut, ...validity],
})

export const policyVersionOperations: readonly Operation[] = [
  proposePolicies,
  listPolicyVersions,
  readPolicyVersion,
  activatePolicies,
  revertPolicies,
]
