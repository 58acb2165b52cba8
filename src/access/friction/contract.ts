import { z } from 'zod'
import { Slug } from '../../kernel/ids.ts'
import { operation } from '../../kernel/operation.ts'
import { notFound } from '../../kernel/problem.ts'
import { FrictionQuery, FrictionReport } from './schemas.ts'

export * from './schemas.ts'

export const readFriction = operation({
  id: 'target.friction',
  method: 'GET',
  path: '/v1/targets/:target/friction',
  summary:
    'Measures what access to a target costs: waiting, refusals that were granted later, jobs broken, and what enforcing would add.',
  function: 'pam',
  resource: 'Target',
  params: z.object({ target: Slug.describe('name or id') }),
  query: FrictionQuery,
  output: FrictionReport,
  problems: [notFound],
})
