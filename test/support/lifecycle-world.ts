import { randomBytes, randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import { endGrantsOf } from '../../src/access/access.ts'
import type { Identity } from '../../src/identities/contract.ts'
import { subjectRef, type TeamsMap } from '../../src/identities/identities.ts'
import type { Door } from '../../src/kernel/http/door.ts'
import type { Deciders } from '../../src/kernel/http/handle.ts'
import type { Caller } from '../../src/kernel/http/route.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { sealUnder } from '../../src/kernel/seal.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { SYSTEM } from '../../src/ledger/ledger.ts'
import { advanceCases, openCursors, scimDoor, webhookDoor, type LifecycleNeeds } from '../../src/lifecycle/lifecycle.ts'
import { accessWorld, type AccessWorld } from './access-world.ts'

/** What a door said. */
export type Said = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>> // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into answers of every shape
  readonly body: any
}

export type LifecycleWorld = AccessWorld & {
  readonly lifecycle: LifecycleNeeds & { readonly log: typeof silentLog }
  /** The founder of this installation. */
  readonly ada: Identity
  /** Two identity providers, each an integration with an attested owner. */
  readonly entra: Identity
  readonly okta: Identity
  /** What nodes were told: `groups`, or the id of a person who moved. */
  readonly hints: string[]
  /** A call of the SCIM door by somebody, decided by the shipped policies. */
  readonly scim: (
    by: Identity,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Said>
  readonly webhook: (sender: string, headers: Record<string, string>, body: string | Buffer) => Promise<Said>
  /** Carries cases on until nothing moves. */
  readonly carryOn: () => Promise<void>
}

export const WEBHOOK_SECRET = 'a-secret-of-the-test-and-of-nothing-else'
const ORIGIN = 'https://reeve.example'

/** A world with identity providers, on the shipped policies. */
export async function lifecycleWorld(
  t: Pick<TestContext, 'after'>,
  options: { teams?: TeamsMap; soakDays?: number } = {},
): Promise<LifecycleWorld> {
  const w = await accessWorld(t, options.teams === undefined ? {} : { teams: options.teams })
  const ada = await w.founder()
  const integration = async (name: string) => {
    const more = { profile: 'integration', kind: 'machine' } as const
    return w.workload(name, w.alice, more)
  }
  const [entra, okta] = [await integration('entra'), await integration('okta')]
  const hints: string[] = []
  const lifecycle = {
    ...w.needs,
    ...w.access,
    log: silentLog,
    soakDays: options.soakDays ?? 14,
    providers: new Set(['entra', 'okta']),
    senders: new Set(['entra', 'forge']),
    origin: () => ORIGIN,
    onGroupsChanged: async () => void hints.push('groups'),
    onMoved: async (_tx: unknown, personId: string) => void hints.push(personId),
    onIdentityEnded: async (
      tx: Parameters<LifecycleNeeds['onIdentityEnded']>[0],
      { identityId, reason, cause }: Parameters<LifecycleNeeds['onIdentityEnded']>[1],
    ) => {
      w.ended.push({ identityId, reason, cause })
      await endGrantsOf(tx, w.access, { identityId }, { reason, actor: SYSTEM })
    },
  }
  let calling: Identity | undefined
  const deciders: Deciders = {
    authenticate: () => (calling ? callerOf(calling) : undefined),
    decide: (caller, action, resource) =>
      w.access.decisions.permitSoon(
        w.db,
        {
          subject: { ...subjectRef(caller), proof: caller.proof },
          action,
          resource,
          context: {},
        },
        { reasonGiven: false, ticket: null },
      ),
  }
  const cursors = openCursors(sealUnder(new Secret(randomBytes(32))))
  const scim = scimDoor({ ...lifecycle, db: w.db, cursors, deciders: () => deciders })
  const secrets = new Map([['forge', new Secret(WEBHOOK_SECRET)]])
  const webhooks = webhookDoor({ ...lifecycle, db: w.db, secrets, deciders: () => deciders })
  return {
    ...w,
    lifecycle,
    ada,
    entra,
    okta,
    hints,
    scim: async (by, method, path, body, headers = {}) => {
      calling = await w.reload(by)
      const bytes =
        body === undefined ? Buffer.alloc(0) : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
      return said(scim, method, path, bytes, { 'content-type': 'application/scim+json', ...headers })
    },
    webhook: (sender, headers, body) => said(webhooks, 'POST', sender, Buffer.from(body), headers),
    carryOn: async () => {
      while ((await advanceCases(w.db, lifecycle)) > 0);
    },
  }
}

function callerOf({ id, name, kind, state }: Identity): Caller | undefined {
  return state === 'active' ? { id, name, kind, proof: 'token', proofId: randomUUID() } : undefined
}

async function said(
  door: Door,
  method: string,
  target: string,
  body: Buffer,
  headers: Record<string, string>,
): Promise<Said> {
  const [path = '', query = ''] = target.split('?')
  const answer = await door.answer({
    method,
    path,
    query: new URLSearchParams(query),
    header: (name) => headers[name],
    body,
    presented: { bearer: undefined, certificate: undefined, clientAddress: '' },
    admit: () => {},
  })
  return { status: answer.status, headers: answer.headers ?? {}, body: JSON.parse(JSON.stringify(answer.body ?? null)) }
}
