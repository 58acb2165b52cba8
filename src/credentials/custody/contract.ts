import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound, problem } from '../../kernel/problem.ts'
import { Reason } from '../../catalog/contract.ts'

/** A sealed value that cannot be opened: `keyId` tells which root key this node has. */
export const custodyBroken = problem('custody-broken', 409, 'The sealed value does not open', {
  type: z.string(),
  id: z.string(),
  version: z.int(),
  keyId: z.string(),
})

/** Longer values are files: keep them elsewhere, and the key to them here. */
export const MOST_BYTES = 65_536

const Text = shown(z.string())
const Purpose = shown(z.string().trim().min(3).max(500)).describe('what it is for')
const Encoding = shown(z.enum(['text', 'base64']))
const Version = shown(z.int().min(1))

/** A secret in custody, without its value. */
export const Deposit = z
  .object({
    id: Id,
    name: Slug,
    ownerTeam: Text,
    purpose: Text,
    state: shown(z.enum(['kept', 'retired'])),
    version: Version.describe('the last one'),
    createdAt: Instant,
    changedAt: Instant,
    retiredAt: Instant.nullable(),
  })
  .meta({ id: 'Deposit' })
export type Deposit = z.output<typeof Deposit>

const Sight = z.object({
  identityId: Id,
  identityName: Slug,
  version: Version,
  how: shown(z.enum(['put', 'revealed', 'exported'])),
  at: Instant,
})

/** One deposit, its versions and who knows them. */
export const DepositDetail = Deposit.extend({
  versions: z
    .array(
      z.object({
        number: Version,
        sizeBytes: shown(z.int()),
        createdAt: Instant,
        destroyedAt: Instant.nullable(),
      }),
    )
    .max(200)
    .describe('the last ones'),
  knownBy: z.array(Sight).max(200).describe('who put it, saw it or exported it, the last ones'),
}).meta({ id: 'DepositDetail' })
export type DepositDetail = z.output<typeof DepositDetail>

export const PutDeposit = z.strictObject({
  ownerTeam: Slug,
  purpose: Purpose,
  value: z
    .string()
    .min(1)
    .max(MOST_BYTES * 2),
  encoding: Encoding.default('text').describe('base64 for what is no text'),
})
export type PutDeposit = z.output<typeof PutDeposit>

const RevealDeposit = z.strictObject({ version: Version.optional(), reason: Reason })
export type RevealDeposit = z.output<typeof RevealDeposit>

const Revealed = z.object({ version: Version, encoding: Encoding, value: z.string() })
export type Revealed = z.output<typeof Revealed>

const ExportDeposit = z.strictObject({
  recipient: shown(z.string().min(40).max(1_000)).describe('an X25519 public key: PEM, or its 32 bytes in base64'),
  version: Version.optional(),
})
export type ExportDeposit = z.output<typeof ExportDeposit>

const Exported = z.object({
  version: Version,
  format: shown(z.literal('hpke-x25519-sha256-aes256gcm')),
  recipient: Text,
  info: Text,
  aad: Text,
  enc: Text,
  ciphertext: Text,
})
export type Exported = z.output<typeof Exported>

const one = z.object({ deposit: Slug.describe('its name') })
const base = { function: 'nhi', resource: 'Deposit', params: one } as const

export const listDeposits = operation({
  id: 'deposit.list',
  method: 'GET',
  path: '/v1/deposits',
  summary: 'Lists the secrets in custody, without their values.',
  function: 'nhi',
  resource: 'Installation',
  query: PageQuery.extend({ ownerTeam: Slug.optional(), state: Deposit.shape.state.optional() }),
  output: pageOf(Deposit),
})
export const readDeposit = operation({
  ...base,
  id: 'deposit.read',
  method: 'GET',
  path: '/v1/deposits/:deposit',
  summary: 'Reads what is known of a secret in custody, and who knows it.',
  output: DepositDetail,
  problems: [notFound],
})
export const putDeposit = operation({
  ...base,
  id: 'deposit.put',
  method: 'PUT',
  path: '/v1/deposits/:deposit',
  summary: 'Takes a secret into custody, or its next version.',
  input: PutDeposit,
  output: Deposit,
  problems: [conflict, invalidInput],
})
// A read as far as repeats go: no answer is kept that holds the value.
export const revealDeposit = operation({
  ...base,
  id: 'deposit.reveal',
  method: 'POST',
  effect: 'read',
  path: '/v1/deposits/:deposit/reveal',
  summary: 'Opens a secret in custody. The ledger keeps who asked and why, and whoever saw it counts as knowing it.',
  input: RevealDeposit,
  output: Revealed,
  problems: [notFound, conflict, custodyBroken],
})
export const exportDeposit = operation({
  ...base,
  id: 'deposit.export',
  method: 'POST',
  path: '/v1/deposits/:deposit/exports',
  summary: 'Seals a secret in custody to somebody’s public key. It takes two people.',
  input: ExportDeposit,
  output: Exported,
  problems: [notFound, conflict, invalidInput, custodyBroken],
})
export const retireDeposit = operation({
  ...base,
  id: 'deposit.retire',
  method: 'POST',
  path: '/v1/deposits/:deposit/retire',
  summary: 'Destroys every version of a secret in custody with its key, for good.',
  input: z.strictObject({ reason: Reason }),
  output: Deposit,
  problems: [notFound, conflict],
})

export const custodyOperations: readonly Operation[] = [
  listDeposits,
  readDeposit,
  putDeposit,
  revealDeposit,
  exportDeposit,
  retireDeposit,
]
