import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../../kernel/operation.ts'
import { conflict, notFound, problem, type ProblemKind } from '../../kernel/problem.ts'
import { policySetInvalid } from '../faults.ts'
import { riskModelInvalid } from '../risk/model.ts'

export const rulesPinned = problem('rules-pinned', 409, 'Files of the configuration decide', {})
export const rulesLockOut = problem('rules-lock-out', 422, 'Nobody could take these rules back again', {
  missing: z.array(z.string()).max(10),
})
export const nothingBefore = problem('nothing-before', 409, 'There is no version to go back to', {})
export const documentInvalid = problem('document-invalid', 422, 'The document is not valid', {
  faults: z
    .array(z.object({ line: z.int(), column: z.int(), path: z.string(), message: z.string() }))
    .max(100)
    .describe('each with its place in the text'),
})

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
/** The files of a version of any kind of rules. */
export type RuleFiles = readonly { readonly name: string; readonly text: string }[]

const Sha256 = shown(z.string().regex(/^[0-9a-f]{64}$/))

/** One version of one kind of rules: whole, and never changed. */
export const RuleVersion = z
  .object({
    id: Id,
    sha256: Sha256.describe('of what was made of it, however it was written'),
    origin: shown(z.enum(['shipped', 'proposed'])).describe('shipped: of a release, or the files of the first start'),
    isActive: shown(z.boolean()),
    note: Reason.nullable(),
    proposedById: Id.nullable(),
    proposedBy: Slug.nullable(),
    createdAt: Instant,
    activatedAt: Instant.nullable().describe('when it last began to decide'),
  })
  .meta({ id: 'RuleVersion' })
export type RuleVersion = z.output<typeof RuleVersion>

const difference = shown(z.array(z.string())).describe('what activating it would change of what decides now')
export const PolicyVersionDetail = RuleVersion.extend({ files: Files, difference }).meta({ id: 'PolicyVersionDetail' })
const DocumentText = shown(z.string().min(1).max(500_000))
const DocumentVersionDetail = RuleVersion.extend({ text: DocumentText, difference }).meta({
  id: 'DocumentVersionDetail',
})

const note = Reason.optional()
const ProposePolicies = z.strictObject({ files: Files, note })
const ProposeDocument = z.strictObject({ text: DocumentText.describe('the whole document, as YAML'), note })

const oneVersion = z.object({ version: Id })

type Of<Noun extends string = string, Input extends z.ZodType = z.ZodType, Detail extends z.ZodType = z.ZodType> = {
  readonly noun: Noun
  readonly path: `/v1/${string}`
  readonly called: string
  readonly function: Operation['function']
  readonly resource: string
  readonly input: Input
  readonly detail: Detail
  readonly invalid: readonly ProblemKind[]
}

/** The five operations on the versions of one kind of rules. */
function ruleOperations<const Noun extends string, Input extends z.ZodType, Detail extends z.ZodType>(
  of: Of<Noun, Input, Detail>,
) {
  return { ...keepingOperations(of), ...movingOperations(of) }
}

function keepingOperations<const Noun extends string, Input extends z.ZodType, Detail extends z.ZodType>(
  of: Of<Noun, Input, Detail>,
) {
  const { noun, path, called, function: decidedBy } = of
  return {
    propose: operation({
      id: `${noun}.propose`,
      method: 'POST',
      path,
      summary: `Keeps a version of ${called}, checked as a whole; it decides nothing until it is activated.`,
      function: decidedBy,
      resource: 'Installation',
      input: of.input,
      output: RuleVersion,
      status: 201,
      problems: [rulesPinned, ...of.invalid],
    }),
    list: operation({
      id: `${noun}.list`,
      method: 'GET',
      path,
      summary: `Lists the versions of ${called}, newest first.`,
      function: decidedBy,
      resource: 'Installation',
      query: PageQuery,
      output: pageOf(RuleVersion),
    }),
    read: operation({
      id: `${noun}.read`,
      method: 'GET',
      path: `${path}/:version`,
      summary: `Reads a version of ${called}, and what activating it would change.`,
      function: decidedBy,
      resource: of.resource,
      params: oneVersion,
      output: of.detail,
      problems: [notFound],
    }),
  }
}

function movingOperations<const Noun extends string>(of: Of<Noun>) {
  const { noun, path, called, function: decidedBy, resource } = of
  const problems = [conflict, rulesLockOut, rulesPinned, ...of.invalid]
  return {
    activate: operation({
      id: `${noun}.activate`,
      method: 'POST',
      path: `${path}/:version/activate`,
      summary: `Lets a version of ${called} decide from now on, on every node.`,
      function: decidedBy,
      resource,
      params: oneVersion,
      output: RuleVersion,
      problems: [notFound, ...problems],
    }),
    revert: operation({
      id: `${noun}.revert`,
      method: 'POST',
      path: `${path}/revert`,
      summary: `Goes back to the version of ${called} that decided before.`,
      function: decidedBy,
      resource,
      output: RuleVersion,
      problems: [nothingBefore, ...problems],
    }),
  }
}

export const policyVersions = ruleOperations({
  noun: 'policy',
  path: '/v1/policies',
  called: 'the policies',
  function: 'governance',
  resource: 'PolicySet',
  input: ProposePolicies,
  detail: PolicyVersionDetail,
  invalid: [policySetInvalid, riskModelInvalid],
})
export const {
  propose: proposePolicies,
  list: listPolicyVersions,
  read: readPolicyVersion,
  activate: activatePolicies,
  revert: revertPolicies,
} = policyVersions

const document = { input: ProposeDocument, detail: DocumentVersionDetail, invalid: [documentInvalid] } as const
/** Who is in which team, and on call when: approval groups are teams. */
export const teamVersions = ruleOperations({
  noun: 'team',
  path: '/v1/teams',
  called: 'the teams',
  function: 'iam',
  resource: 'TeamList',
  ...document,
})
/** Change windows and freezes. */
export const calendarVersions = ruleOperations({
  noun: 'calendar',
  path: '/v1/calendars',
  called: 'the calendar',
  function: 'pam',
  resource: 'Calendar',
  ...document,
})
/** What is otherwise in the catalog of privileged actions than this release ships it. */
export const catalogVersions = ruleOperations({
  noun: 'catalog',
  path: '/v1/catalogs',
  called: 'the catalog of actions',
  function: 'pam',
  resource: 'Catalog',
  ...document,
})

export const ruleVersionOperations: readonly Operation[] = [
  policyVersions,
  teamVersions,
  calendarVersions,
  catalogVersions,
].flatMap((of): Operation[] => [of.propose, of.list, of.read, of.activate, of.revert])
