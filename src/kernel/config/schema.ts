import { hostname } from 'node:os'
import { z } from 'zod'
import { Secret } from '../secret.ts'
import { SIGNING_ALGORITHMS } from '../signing-key.ts'
import { weekly } from '../weekly.ts'
import { Custody, Keys, Kms, Pkcs11 } from './custody.ts'
import { Lifecycle } from './lifecycle.ts'
import { Login } from './login.ts'
import { Mesh } from './mesh.ts'
import { Spiffe } from './spiffe.ts'

const path = z.string().min(1).max(4096)
const host = z.string().min(1).max(253)
const port = z.number().int().min(0).max(65_535)
const secret = z
  .string()
  .min(1)
  .max(4096)
  .transform((value) => new Secret(value))
  .meta({ classification: 'secret' })

const NODE_ROLES = ['control', 'gateway', 'worker'] as const

const Api = z.strictObject({
  host: host.default('127.0.0.1').describe('Address the API listens on.'),
  port: port.default(7300).describe('Port of the API; 0 takes a free one.'),
  plaintext: z.boolean().default(false).describe('Serve HTTP without TLS. Accepted on a loopback address only.'),
})

const Gateway = (defaultPort: number, protocol: string) =>
  z.strictObject({
    host: host.default('127.0.0.1').describe(`Address the ${protocol} gateway listens on.`),
    port: port.default(defaultPort).describe(`Port of the ${protocol} gateway; 0 takes a free one.`),
  })

const Database = z.strictObject({
  url: secret
    .optional()
    .describe(
      'URL of an external PostgreSQL 15 or later, as the role the server runs as. Without it Reeve runs its own.',
    ),
  ownerUrl: secret
    .optional()
    .describe('The same database as the role that owns the schema; only `reeve migrate` needs it.'),
})

const Node = z.strictObject({
  name: z.string().min(1).max(253).default(hostname()).describe('Name of this node; the machine’s name by default.'),
  roles: z
    .array(z.enum(NODE_ROLES))
    .min(1)
    .max(NODE_ROLES.length)
    .default([...NODE_ROLES])
    .describe('What this node does.'),
})

const Tls = z.strictObject({
  certFile: path
    .optional()
    .describe('PEM certificate chain for all listeners. Without it the installation’s own CA issues one.'),
  keyFile: path.optional().describe('PEM private key of that certificate.'),
  names: z
    .array(host)
    .max(50)
    .default([])
    .describe('Further names and addresses by which clients reach this node; others are refused by the API.'),
})

const Ledger = z.strictObject({
  origin: z
    .string()
    .min(1)
    .max(200)
    .regex(/^[^\s+]+$/, 'an origin has neither spaces nor a plus sign')
    .optional()
    .describe('Name of the log in its checkpoints. Made at first start when left out.'),
  checkpointFile: path
    .optional()
    .describe('Where the last signed checkpoint is kept outside the database; `<home>/checkpoint` by default.'),
  witnesses: z
    .array(
      z.strictObject({
        key: z.string().min(1).max(500).describe('Verifier key of the witness (C2SP signed-note).'),
        url: z
          .url({ protocol: /^https?$/ })
          .max(2000)
          .optional()
          .describe('Where it cosigns; without one it only verifies.'),
      }),
    )
    .max(20)
    .default([])
    .describe('Witnesses asked to cosign each checkpoint.'),
})

const Authzen = z.strictObject({
  enforcementPoints: z
    .array(z.string().min(1).max(63))
    .max(1000)
    .default([])
    .describe('Machines and workloads, by name, that ask for decisions on others.'),
  deciders: z
    .array(z.string().min(1).max(63))
    .max(1000)
    .default([])
    .describe(
      'Of those, by name, who decide in their own process: they are sent the policies and the facts they ask about.',
    ),
  drafts: z
    .boolean()
    .default(false)
    .describe('Speak the drafts of the working group too: obligations, and denials that can be requested.'),
  entries: z
    .enum(['all', 'privileged'])
    .default('all')
    .describe('Which answers are entered in the ledger: all, or those about privileged acts only.'),
})

const Risk = z.strictObject({
  lookSeconds: z
    .number()
    .int()
    .min(5)
    .max(3600)
    .default(60)
    .describe('How often each session is decided again with its risk of then, beside what is reported.'),
  signalSenders: z
    .array(z.string().min(1).max(63))
    .max(1000)
    .default([])
    .describe('Machines and workloads, by name, that report signals: detection, identity providers, event collectors.'),
})

const Limits = z.strictObject({
  bodyBytes: z.number().int().min(1024).max(64_000_000).default(1_000_000).describe('Largest request body of the API.'),
  requestsPerSecond: z
    .number()
    .min(0.1)
    .max(100_000)
    .default(50)
    .describe('Sustained API requests per caller and, before a caller is known, per client address.'),
  requestBurst: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(200)
    .describe('Requests that may come at once above the sustained rate.'),
})

const Tickets = z.strictObject({
  url: z
    .string()
    .min(1)
    .max(2000)
    .optional()
    .describe(
      'Address at which a ticket is looked up, with `{ticket}` once in its path or query. Without it no ticket is verified.',
    ),
  stateAt: z
    .string()
    .min(1)
    .max(200)
    .default('state')
    .describe('Where the state stands in the JSON of the answer: keys with dots between them.'),
  states: z.array(z.string().min(1).max(100)).max(50).default(['open']).describe('States in which a ticket counts.'),
  authorization: secret.optional().describe('Value of the `Authorization` header.'),
  timeoutMs: z.number().int().min(100).max(30_000).default(3_000).describe('How long it may take to answer.'),
})

const Tokens = z.strictObject({
  issuer: z
    .url({ protocol: /^https?$/ })
    .max(500)
    .regex(/[^/]$/, 'an issuer ends in no slash')
    .optional()
    .describe(
      'The one address that names this token service; the API’s own by its first name in tls.names if left out.',
    ),
  algorithm: z.enum(SIGNING_ALGORITHMS).default('ES256').describe('What new signing keys sign with.'),
  rotateDays: z.number().int().min(1).max(365).default(30).describe('How long a key signs access tokens.'),
  resources: z
    .array(z.string().min(1).max(500))
    .max(100)
    .default([])
    .describe('Other places that access tokens may be for, as they name themselves (RFC 8707).'),
  drafts: z
    .array(z.enum(['id-jag-04']))
    .max(10)
    .default([])
    .describe('Standards that are not finished and are taken all the same, each in one version of its draft.'),
})

const Egress = z.strictObject({
  allow: z
    .array(z.string().min(1).max(300))
    .max(200)
    .default([])
    .describe('Private places that Reeve may reach for what it is told to read: `[http://]name or network[:port]`.'),
  caFile: path.optional().describe('PEM of authorities that these places are trusted by, beside the public ones.'),
})

const personName = z.string().min(1).max(63)
const turn = z.strictObject({
  person: personName,
  ...weekly,
  since: z.string().max(40).optional(),
  until: z.string().max(40).optional(),
})
const team = z.strictObject({
  members: z.array(personName).max(1000).describe('Identity names.'),
  on_call: z
    .array(z.union([personName, turn]))
    .max(520)
    .optional()
    .describe('Who of them is on call, always or at times.'),
})

/** Everything that can be configured, bounded and described. Relative paths are relative to the working directory. */
export const ConfigSchema = z
  .strictObject({
    home: path.default('.reeve').describe('Folder of all state of this installation.'),
    database: Database.prefault({}),
    api: Api.prefault({}),
    gateways: z.strictObject({ postgres: Gateway(7332, 'PostgreSQL').prefault({}) }).prefault({}),
    node: Node.prefault({}),
    policies: path
      .optional()
      .describe('Folder of the Cedar policies. Without it the versions in the database decide, the shipped one first.'),
    teams: z
      .union([path, z.record(z.string().min(1).max(63), team)])
      .default({})
      .describe(
        'Teams by name with their members, or the YAML file that holds them, for the first start. Versions follow it.',
      ),
    tickets: Tickets.prefault({}),
    calendar: path
      .optional()
      .describe('YAML file of change windows and freezes, for the first start; none by default. Versions follow it.'),
    pinned: z
      .array(z.enum(['teams', 'calendar', 'catalog']))
      .max(3)
      .default([])
      .describe(
        'What the files decide at every start, whatever versions the database has: the way back in when one locked everybody out.',
      ),
    log: z
      .strictObject({
        level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').describe('How much is logged.'),
      })
      .prefault({}),
    tls: Tls.prefault({}),
    recordings: path.optional().describe('Folder of session recordings; `<home>/recordings` by default.'),
    ledger: Ledger.prefault({}),
    limits: Limits.prefault({}),
    authzen: Authzen.prefault({}),
    tokens: Tokens.prefault({}),
    login: Login.prefault({}),
    lifecycle: Lifecycle.prefault({}),
    egress: Egress.prefault({}),
    mesh: Mesh.prefault({}),
    spiffe: Spiffe.prefault({}),
    custody: Custody.prefault({}),
    keys: Keys.prefault({}),
    pkcs11: Pkcs11.prefault({}),
    kms: Kms.prefault({}),
    risk: Risk.prefault({}),
  })
  .refine((config) => !config.tls.certFile === !config.tls.keyFile, {
    path: ['tls'],
    message: 'certFile and keyFile are given together',
  })
  .refine((config) => !config.database.ownerUrl || config.database.url, {
    path: ['database', 'url'],
    message: 'ownerUrl is given, so url must be too',
  })
  .refine((config) => !config.api.plaintext || isLoopback(config.api.host), {
    path: ['api', 'plaintext'],
    message: 'only a loopback address may be served without TLS',
  })
  .refine(({ custody }) => isAllOrNone(custody.kind === 'transit', [custody.address, custody.key, custody.tokenFile]), {
    path: ['custody'],
    message: 'transit needs address, key and tokenFile, which stand together',
  })
  .refine(
    ({ custody, keys, pkcs11: { module, token, pinFile } }) =>
      isAllOrNone(custody.kind === 'pkcs11' || keys.kind === 'pkcs11', [module, token, pinFile]),
    { path: ['pkcs11'], message: 'a token needs module, token and pinFile, which stand together' },
  )
  .refine(
    ({ custody, keys, kms }) =>
      isAllOrNone(custody.kind === 'kms' || keys.kind === 'kms', [kms.region, kms.credentialsFile]),
    { path: ['kms'], message: 'AWS KMS needs region and credentialsFile, which stand together' },
  )
  .refine(
    ({ custody, pkcs11, kms }) =>
      (custody.kind !== 'pkcs11' || pkcs11.rootKey !== undefined) &&
      (custody.kind !== 'kms' || kms.rootKey !== undefined),
    { path: ['custody', 'kind'], message: 'name the key that wraps the root key: pkcs11.rootKey or kms.rootKey' },
  )
  .refine(({ keys, tokens }) => keys.kind === 'sealed' || tokens.algorithm === 'ES256', {
    path: ['tokens', 'algorithm'],
    message: 'keys in a token or in AWS KMS sign ES256 only',
  })
  .refine((config) => !config.mesh.plaintext || isLoopback(config.mesh.host), {
    path: ['mesh', 'plaintext'],
    message: 'only a loopback address may be served without TLS',
  })

export type ConfigValues = z.output<typeof ConfigSchema>

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** What is needed stands there whole; what stands there for another time does so too. */
function isAllOrNone(isNeeded: boolean, values: readonly (string | undefined)[]): boolean {
  const count = values.filter((value) => value !== undefined).length
  return count === values.length || (count === 0 && !isNeeded)
}
