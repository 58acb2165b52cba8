import { randomBytes, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { sha256 } from '../../src/kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../src/kernel/db.ts'
import { event } from '../../src/kernel/event.ts'
import { newId, systemRandom } from '../../src/kernel/random.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import type { Seal } from '../../src/kernel/seal.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { SYSTEM, type Ledger } from '../../src/ledger/ledger.ts'

export type GrantedOptions = {
  /** Who holds the grant; a person without it. */
  subject?: 'workload'
  recording?: 'none' | 'meta' | 'full'
  onRecorderLoss?: 'end' | 'continue'
  actions?: string[]
  maxUses?: number | null
  maxConnections?: number
  ttlSeconds?: number
  protocol?: string
  /** Of the target; production unless told. */
  environment?: 'production' | 'staging'
  settings?: unknown
  /** The account is static with this login at the target, sealed by `seal`. */
  login?: { account: string; password: string }
  seal?: Seal
}

/** The rows behind one grant, written directly: what a test starts from when requests and approvals are not its subject. */
export type Granted = {
  readonly grantId: string
  readonly subjectId: string
  readonly targetId: string
  readonly accountId: string
  readonly purposeId: string
  readonly target: string
  readonly account: string
  /** A ticket's proof row and its value. */
  readonly proofId: string
  readonly ticket: string
}

const arranged = event('test.arranged', 'A test arranged its world.', {})

/** A running process of Reeve. */
export async function addNode(db: Db, heartbeatAt = new Date()): Promise<string> {
  const id = randomUUID()
  await db
    .insertInto('node')
    .values({
      id,
      name: 'test',
      roles: ['gateway'],
      version: '0',
      startedAt: heartbeatAt,
      heartbeatAt,
      clockOffsetMs: 0,
      stoppedAt: null,
    })
    .execute()
  return id
}

/** A live grant with its identity, owner, target, account, purpose and a ticket. */
export async function addGrant(db: Db, ledger: Ledger, options: GrantedOptions = {}): Promise<Granted> {
  const name = (prefix: string) => `${prefix}-${randomBytes(4).toString('hex')}`
  const newIdentifier = () => newId(systemClock, systemRandom)
  const subjectName = name('alice')
  const ids = { ownerId: newIdentifier(), subjectId: newIdentifier(), targetId: newIdentifier() }
  const more = {
    accountId: newIdentifier(),
    purposeId: newIdentifier(),
    grantId: newIdentifier(),
    proofId: newIdentifier(),
  }
  const target = name('orders')
  const account = options.login?.account ?? 'app'
  const ticket = randomBytes(32).toString('base64url')
  await transact(db, async (tx) => {
    const cause = await ledger.record(tx, {
      event: arranged,
      actor: SYSTEM,
      resource: { type: 'Grant', id: more.grantId },
      outcome: 'done',
      facts: {},
    })
    const all = { ...ids, ...more, cause, subjectName, target, account, ticket, options }
    await addPeople(tx, all)
    await addCatalog(tx, all)
    await addPurposeTarget(tx, all)
    await addAccess(tx, all)
  })
  return { ...more, subjectId: ids.subjectId, targetId: ids.targetId, target, account, ticket }
}

/** What was owed when the grant was made: nothing but a recording. */
const OWED = {
  approval: [],
  ttlSeconds: null,
  uses: null,
  stepUp: 'none',
  recording: 'full',
  reasonRequired: false,
  tickets: [],
}

type All = {
  ownerId: string
  subjectId: string
  targetId: string
  accountId: string
  purposeId: string
  grantId: string
  proofId: string
  cause: number
  subjectName: string
  target: string
  account: string
  ticket: string
  options: GrantedOptions
}

async function addPeople(tx: Tx, all: All): Promise<void> {
  const person = { kind: 'human', profile: 'person', environment: 'production', tier: 2, state: 'active' } as const
  const dates = { createdAt: new Date(), cause: all.cause }
  await tx
    .insertInto('identity')
    .values({ ...person, ...dates, id: all.ownerId, name: `owner-of-${all.subjectName}`, ownerState: 'none' })
    .execute()
  await tx
    .insertInto('identity')
    .values({
      ...person,
      ...(all.options.subject === 'workload' && ({ kind: 'workload', profile: 'service' } as const)),
      ...dates,
      id: all.subjectId,
      name: all.subjectName,
      businessService: 'billing',
      ownerTeam: 'payments',
      ownerId: all.ownerId,
      ownerState: 'attested',
    })
    .execute()
}

async function addCatalog(tx: Tx, all: All): Promise<void> {
  const { cause, options } = all
  await tx
    .insertInto('target')
    .values({
      id: all.targetId,
      name: all.target,
      protocol: options.protocol ?? 'postgres',
      environment: options.environment ?? 'production',
      sensitivity: 1,
      businessService: 'billing',
      ownerTeam: 'payments',
      settings: JSON.stringify(options.settings ?? {}),
      onRecorderLoss: options.onRecorderLoss ?? 'end',
      createdAt: new Date(),
      cause,
    })
    .execute()
  await tx
    .insertInto('account')
    .values({
      id: all.accountId,
      targetId: all.targetId,
      name: all.account,
      mode: 'static',
      tier: 1,
      sealedCredential:
        options.seal?.seal(
          new Secret(options.login?.password ?? 'unused'),
          `account.sealed_credential:${all.accountId}`,
        ) ?? Buffer.from('not opened here'),
      cause,
    })
    .execute()
  await tx
    .insertInto('purpose')
    .values({
      id: all.purposeId,
      name: `purpose-of-${all.target}`,
      statement: 'fix the ledger of orders',
      ownerTeam: 'payments',
      actions: options.actions ?? ['postgres.read'],
      state: 'approved',
      proposedBy: all.subjectId,
      approvedBy: all.ownerId,
      createdAt: new Date(),
      expiresAt: new Date(Date.now() + 86_400_000),
      cause,
    })
    .execute()
}

async function addPurposeTarget(tx: Tx, { purposeId, targetId, cause }: All): Promise<void> {
  await tx.insertInto('purposeTarget').values({ purposeId, targetId, cause }).execute()
}

async function addAccess(tx: Tx, all: All): Promise<void> {
  const { cause, options } = all
  const now = new Date()
  const expiresAt = new Date(now.getTime() + (options.ttlSeconds ?? 3600) * 1000)
  const requestId = newId(systemClock, systemRandom)
  const asked = {
    subjectId: all.subjectId,
    targetId: all.targetId,
    accountId: all.accountId,
    actions: options.actions ?? ['postgres.read'],
    parserEnforced: [],
    purposeId: all.purposeId,
    ticket: 'OPS-7',
    isKeptAlive: false,
    policyVersion: 'p1',
    cause,
  }
  await tx
    .insertInto('accessRequest')
    .values({
      ...asked,
      id: requestId,
      requesterId: all.subjectId,
      proof: 'token',
      askedTtlSeconds: options.ttlSeconds ?? 3600,
      ttlSeconds: options.ttlSeconds ?? 3600,
      uses: options.maxUses ?? null,
      connections: options.maxConnections ?? 100,
      obligations: JSON.stringify(OWED),
      policies: '[]',
      approverTeams: [],
      boundSha256: sha256('bound'),
      state: 'granted',
      createdAt: now,
      decidedAt: now,
      expiresAt,
    })
    .execute()
  await tx
    .insertInto('accessGrant')
    .values({
      ...asked,
      id: all.grantId,
      requestId,
      recording: options.recording ?? 'full',
      maxUses: options.maxUses ?? null,
      maxConnections: options.maxConnections ?? 100,
      startsAt: now,
      expiresAt,
    })
    .execute()
  await tx
    .insertInto('grantProof')
    .values({
      id: all.proofId,
      grantId: all.grantId,
      kind: 'ticket',
      sha256: sha256(all.ticket),
      isSingleUse: false,
      createdAt: now,
      firstUseBefore: expiresAt,
      cause,
    })
    .execute()
}

/** The kinds of entries about a grant, in order. */
export async function ledgerKinds(db: Db, grantId: string): Promise<string[]> {
  const { rows } = await sql<{ kind: string }>`
    select kind from ledger_entry where grant_id = ${grantId} order by id`.execute(db)
  return rows.map((row) => row.kind)
}
