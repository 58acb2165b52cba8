import { z } from 'zod'
import { Slug } from '../kernel/ids.ts'
import { operation, PageQuery, pageOf, type Operation } from '../kernel/operation.ts'
import { conflict, invalidInput, nameTaken, notFound, problem } from '../kernel/problem.ts'
import { Reason } from '../identities/contract.ts'
import { CreateTrustRule, TrustRule } from './schemas.ts'

export * from './schemas.ts'

/** A rule that lets in more than it names: the first step of most break-ins through federation (OWASP NHI6). */
export const ruleTooWide = problem('rule-too-wide', 400, 'The rule lets in more than it names', { field: z.string() })

const one = z.object({ rule: Slug.describe('name or id') })

export const createTrustRule = operation({
  id: 'trust-rule.create',
  method: 'POST',
  path: '/v1/identities/:identity/trust-rules',
  summary: 'Lets what an issuer says of one subject prove an identity.',
  function: 'nhi',
  resource: 'Identity',
  params: z.object({ identity: Slug.describe('name or id') }),
  input: CreateTrustRule,
  output: TrustRule,
  status: 201,
  problems: [notFound, conflict, nameTaken, invalidInput, ruleTooWide],
})
export const listTrustRules = operation({
  id: 'trust-rule.list',
  method: 'GET',
  path: '/v1/trust-rules',
  summary: 'Lists the rules by which tokens of other issuers prove identities.',
  function: 'nhi',
  resource: 'Installation',
  query: PageQuery,
  output: pageOf(TrustRule),
})
export const readTrustRule = operation({
  id: 'trust-rule.read',
  method: 'GET',
  path: '/v1/trust-rules/:rule',
  summary: 'Reads one of these rules.',
  function: 'nhi',
  resource: 'TrustRule',
  params: one,
  output: TrustRule,
  problems: [notFound],
})
export const retireTrustRule = operation({
  id: 'trust-rule.retire',
  method: 'POST',
  path: '/v1/trust-rules/:rule/retire',
  summary: 'Ends a rule for good, with every token that was issued under it.',
  function: 'nhi',
  resource: 'TrustRule',
  params: one,
  input: z.strictObject({ reason: Reason }),
  output: TrustRule,
  problems: [notFound, conflict],
})

export const tokenOperations: readonly Operation[] = [createTrustRule, listTrustRules, readTrustRule, retireTrustRule]
