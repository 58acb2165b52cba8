import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const Column = shown(z.string().min(1).max(200)).describe('of CSV its heading, of JSON a path with dots')
const Columns = shown(z.array(z.string().min(1).max(64)).max(30)).default([])
const Values = shown(z.array(z.string().max(100)).min(1).max(50))
const State = z.strictObject({ column: Column, active: Values }).describe('what the column says of one that works')

const PrincipalRow = z.strictObject({
  kind: shown(z.literal('principal')),
  id: Column,
  name: Column.optional(),
  type: shown(z.enum(['account', 'human', 'service', 'workload', 'agent', 'group', 'role', 'app', 'device'])).default(
    'account',
  ),
  state: State.optional(),
  createdAt: Column.optional(),
  environment: Column.optional(),
  tags: Columns,
  facts: Columns,
})
const CredentialRow = z.strictObject({
  kind: shown(z.literal('credential')),
  id: Column,
  name: Column.optional(),
  principal: Column.optional().describe('the id of its principal'),
  type: shown(
    z.enum([
      'password',
      'api-key',
      'token',
      'oauth-grant',
      'client-secret',
      'ssh-key',
      'key-pair',
      'certificate',
      'other',
    ]),
  ).default('other'),
  state: State.optional(),
  createdAt: Column.optional(),
  rotatedAt: Column.optional(),
  expiresAt: Column.optional(),
  secret: Column.optional().describe('the value itself, if it is there: it leaves as a fingerprint'),
  facts: Columns,
})
const GrantRow = z.strictObject({
  kind: shown(z.literal('grant')),
  principal: Column,
  on: Column,
  privilege: Column,
  level: shown(z.enum(['use', 'read', 'write', 'admin', 'grant', 'impersonate'])),
  expiresAt: Column.optional(),
  facts: Columns,
})

/** What one row says: more than one thing where a row has more than one. */
const Mapping = z.discriminatedUnion('kind', [PrincipalRow, CredentialRow, GrantRow])
export type Mapping = z.output<typeof Mapping>

/** What `source.settings` holds for `table`: a file of this machine and what its columns mean. */
export const TableSourceSettings = z
  .strictObject({
    path: shown(z.string().max(1000).regex(/^\//, 'name it from the root on')),
    format: shown(z.enum(['csv', 'json', 'scim'])),
    separator: shown(z.enum([',', ';', '\t', '|'])).default(','),
    list: Column.optional().describe('where the rows stand in JSON; without it the document is the list'),
    rows: z.array(Mapping).max(10).default([]),
  })
  .refine(({ format, rows }) => (format === 'scim') === (rows.length === 0), {
    path: ['rows'],
    message: 'say what the columns mean; of SCIM it is known',
  })
  .meta({ id: 'TableSourceSettings', classification: 'public' })
export type TableSourceSettings = z.output<typeof TableSourceSettings>
