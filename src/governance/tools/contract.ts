import { z } from 'zod'
import { Tier } from '../../identities/contract.ts'
import { Coverage } from '../../inventory/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound } from '../../kernel/problem.ts'

const Text = shown(z.string())
/** What one act approves: a list that a person can read. */
const TOOLS_MAX = 100
const Claim = shown(z.boolean()).nullable()

const Tool = z
  .object({
    id: Id,
    version: Text.describe(
      'the id, the digest of what it is called, says and takes, and the tier: what an approval names',
    ),
    name: Text,
    source: Slug,
    description: Text.nullable(),
    tier: Tier.describe(
      'of a call of it: that of the action mcp.call where the server stands, or of what the server or the tool is',
    ),
    state: shown(z.enum(['new', 'approved', 'changed'])),
    approvedAt: Instant.nullable(),
    approver: Slug.nullable(),
    claimsReadOnly: Claim.describe('the server’s own word'),
    claimsDestructive: Claim.describe('the server’s own word'),
    marks: shown(z.array(z.string())).describe('what in its texts is meant for a model and not for a person'),
  })
  .meta({ id: 'Tool', classification: 'public' })
export type Tool = z.output<typeof Tool>

export const ToolPage = z
  .object({ items: z.array(Tool).max(200), nextCursor: z.string().nullable(), coverage: Coverage })
  .meta({ id: 'ToolPage' })
export type ToolPage = z.output<typeof ToolPage>

export const ToolQuery = PageQuery.extend({
  source: Slug.optional().describe('name or id'),
  state: shown(z.enum(['new', 'approved', 'changed'])).optional(),
})
export type ToolQuery = z.output<typeof ToolQuery>

const Version = z
  .string()
  .regex(/^[0-9a-f-]{36}@[0-9a-f]{64}\.[0-3]$/, 'write <id>@<digest>.<tier>, as the list has it')

export const listTools = operation({
  id: 'tool.list',
  method: 'GET',
  path: '/v1/tools',
  summary: 'Lists the tools that servers offer to agents, and which of them are as somebody approved them.',
  function: 'nhi',
  resource: 'Installation',
  query: ToolQuery,
  output: ToolPage,
  problems: [notFound],
})
export const approveTools = operation({
  id: 'tool.approve',
  method: 'POST',
  path: '/v1/tool-approvals',
  summary:
    'Approves tools exactly as the list showed them; one that is another by now is refused. Strict tiers take a second person.',
  function: 'nhi',
  resource: 'Installation',
  input: z.strictObject({ tools: shown(z.array(Version).min(1).max(TOOLS_MAX)).describe('versions of the list') }),
  output: z.object({ tools: z.array(Tool).max(TOOLS_MAX) }).meta({ id: 'ToolsApproved' }),
  problems: [notFound, conflict, invalidInput],
})

export const toolOperations: readonly Operation[] = [listTools, approveTools]
