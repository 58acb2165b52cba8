import { request } from 'node:https'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { enrol, enrolFounder, redeem } from '../../demo/people.ts'
import { approvePurpose, proposePurpose, registerAccount, registerTarget } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { site, type Cleaning, type Site } from './installation.ts'

/** An installation with an enforcement point, a target of its own, and a kind of thing that is in nobody's record. */
export type AuthzenWorld = Site & {
  readonly ada: Client
  /** Registered as an enforcement point. */
  readonly gate: Client
  /** A workload that is not. */
  readonly other: Client
  /** A person whose name is listed as that of one. */
  readonly mallory: Client
  readonly policies: string
  ask(by: Client | undefined, path: string, body: unknown, headers?: Record<string, string>): Promise<Answered>
  evaluate(body: unknown, headers?: Record<string, string>): Promise<Answered>
}

export async function authzenWorld(cleaning: Cleaning, more: object = {}): Promise<AuthzenWorld> {
  const policies = mkdtempSync(join(tmpdir(), 'reeve-authzen-'))
  cleaning.after(() => rmSync(policies, { recursive: true }))
  extendPolicies(policies)
  const here = await site(cleaning, {
    policies,
    authzen: { enforcementPoints: ['gate', 'mallory'], drafts: true },
    ...more,
  })
  const ada = await enrolFounder(here.server)
  const person = (name: string) => ({ kind: 'human', name, profile: 'person' }) as const
  await enrol(here.server, ada, person('bob'))
  const erin = await enrol(here.server, ada, person('erin'))
  const mallory = await enrol(here.server, ada, person('mallory'))
  const gate = await workload(here, ada, erin, 'gate')
  const other = await workload(here, ada, erin, 'other')
  await registerShop(ada, erin, mallory)
  const ask: AuthzenWorld['ask'] = (by, path, body, headers) => sent(here, by, path, body, headers)
  const evaluate: AuthzenWorld['evaluate'] = (body, headers) => ask(gate, '/access/v1/evaluation', body, headers)
  return { ...here, ada, gate, other, mallory, policies, ask, evaluate }
}

/** The shipped policies, with a kind of thing that is in nobody's record. */
function extendPolicies(folder: string): void {
  cpSync(join(import.meta.dirname, '../../policies'), folder, { recursive: true })
  const schema = join(folder, 'schema.cedarschema')
  const text = readFileSync(schema, 'utf8').trimEnd().slice(0, -1)
  writeFileSync(
    schema,
    `${text.replace('    risk?:', '    action?: { soft?: Bool },\n    risk?:')}
  entity Folder;
  entity Document in [Folder] = { id: String, owner?: String, secret?: Bool, environment?: String };
  action "document" in ["operation"];
}
`,
  )
  const actions = join(folder, 'actions.json')
  const read = { groups: ['document'], resources: ['Document'], principals: ['Person'] }
  const page = { groups: ['document'], resources: ['Document'], principals: ['Person', 'Workload'] }
  writeFileSync(
    actions,
    JSON.stringify({
      ...JSON.parse(readFileSync(actions, 'utf8')),
      'document.read': read,
      'document.delete': read,
      'page.view': page,
      'page.change': page,
    }),
  )
  writeFileSync(
    join(folder, 'documents.cedar'),
    `@id("documents-are-read") permit (principal is Reeve::Person, action == Reeve::Action::"document.read", resource is Reeve::Document)
unless { resource has secret && resource.secret };
@id("documents-are-deleted-softly") permit (principal is Reeve::Person, action == Reeve::Action::"document.delete", resource is Reeve::Document)
when { context has action && context.action has soft && context.action.soft };
@id("errs") forbid (principal, action == Reeve::Action::"document.read", resource is Reeve::Document)
when { resource has owner && resource.owner == "overflow" && 9223372036854775807 + (if resource.owner == "overflow" then 1 else 0) > 0 };
`,
  )
  writeFileSync(
    join(folder, 'pages.cedar'),
    `@id("pages-are-viewed") permit (principal, action == Reeve::Action::"page.view", resource is Reeve::Document);
@id("plans-are-for-people") forbid (principal is Reeve::Workload, action == Reeve::Action::"page.view", resource is Reeve::Document)
when { resource.id == "plans" };
@id("only-who-is-active") forbid (principal is Reeve::Workload, action == Reeve::Action::"page.view", resource is Reeve::Document)
unless { principal.state == "active" && ["spiffe", "token"].contains(principal.proof) };
@id("pages-are-changed-by-two") @approval("1 of security")
permit (principal is Reeve::Workload, action == Reeve::Action::"page.change", resource is Reeve::Document);
`,
  )
  writeFileSync(join(folder, 'authzen.yaml'), 'actions: { READ: document.read }\n')
}

async function workload(here: Site, ada: Client, erin: Client, name: string): Promise<Client> {
  await ada.ask(registerIdentity, {
    input: { kind: 'workload', name, profile: 'service', ownerTeam: 'security', owner: 'erin' },
  })
  await erin.ask(attestOwner, { params: { identity: name } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: name }, input: {} })
  return redeem(here.server, secret)
}

async function registerShop(ada: Client, erin: Client, mallory: Client): Promise<void> {
  await ada.ask(registerTarget, {
    input: {
      name: 'shop-db',
      protocol: 'postgres',
      environment: 'staging',
      sensitivity: 2,
      ownerTeam: 'shop',
      settings: { host: '127.0.0.1', port: 1, database: 'shop', tls: { mode: 'disable' } },
      provisioner: { user: 'p', password: 'p' },
    },
  })
  await ada.ask(registerAccount, { params: { target: 'shop-db' }, input: { name: 'app', mode: 'lease' } })
  await mallory.ask(proposePurpose, {
    input: {
      name: 'care',
      statement: 'Caring for the shop.',
      ownerTeam: 'shop',
      targets: ['shop-db'],
      actions: ['postgres.read'],
      expiresAt: '2026-12-31T00:00:00Z',
    },
  })
  await erin.ask(approvePurpose, { params: { purpose: 'care' } })
}

/** `json` is as loose as JSON is: the test says what it expects of it. */
export type Answered = {
  status: number
  headers: Record<string, unknown> // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into answers of every shape
  json: () => any
}

function sent(
  here: Site,
  by: Client | undefined,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answered> {
  const { address, authority } = here.nobody.connection
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: address.hostname,
        port: address.port,
        method: body === undefined ? 'GET' : 'POST',
        path,
        ca: authority,
        servername: 'localhost',
        agent: false,
        headers: {
          ...(by?.connection.token && { authorization: `Bearer ${by.connection.token.reveal()}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
      },
      (response) => {
        let all = ''
        response.on('data', (chunk: Buffer) => (all += chunk.toString('utf8')))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, json: () => JSON.parse(all) }),
        )
      },
    )
    asked.on('error', reject)
    asked.end(body === undefined ? undefined : text)
  })
}

/** What everybody may. */
export const READ = {
  subject: { type: 'user', id: 'bob' },
  action: { name: 'document.read' },
  resource: { type: 'document', id: 'd1' },
}

/** What an enforcement point may say it carries out. */
export const ALL = ['urn:reeve:obligation:record', 'urn:reeve:obligation:max-duration']

/** What bob may, and what he owes for it is carried out. */
export const USE = {
  subject: { type: 'user', id: 'bob' },
  action: { name: 'postgres.read' },
  resource: { type: 'account', id: 'app@shop-db' },
  context: { purpose: 'care', supported_obligations: ALL },
}
