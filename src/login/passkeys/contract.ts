import { z } from 'zod'
import { Id, Slug } from '../../kernel/ids.ts'
import { operation, PageQuery, pageOf, type Operation } from '../../kernel/operation.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { lastPasskey } from './refused.ts'
import { Passkey } from './schemas.ts'

export const listPasskeys = operation({
  id: 'passkey.list',
  method: 'GET',
  path: '/v1/identities/:identity/passkeys',
  summary: 'Lists the passkeys of a person, removed ones too.',
  function: 'iam',
  resource: 'Identity',
  params: z.object({ identity: Slug.describe('name or id') }),
  query: PageQuery,
  output: pageOf(Passkey),
  problems: [notFound],
})
export const removePasskey = operation({
  id: 'passkey.remove',
  method: 'POST',
  path: '/v1/passkeys/:passkey/remove',
  summary: 'Removes a passkey for good.',
  function: 'iam',
  resource: 'Passkey',
  params: z.object({ passkey: Id }),
  output: Passkey,
  problems: [notFound, conflict, lastPasskey],
})

export const passkeyOperations: readonly Operation[] = [listPasskeys, removePasskey]
