import pg from 'pg'
import { scramVerifier, sha256 } from '../../kernel/crypto.ts'
import { sqlState } from '../../kernel/db.ts'
import { LeaseFailure, NotWanted, type Details, type WrittenLease } from '../writer.ts'
import { actingAs, BY_INDEX, forgetMakers, makerFor, OWN_ROLES } from './makers.ts'
import { fenceOf, STANDING, standingIn, type Standing, type StandingRow } from './role.ts'
import type { PostgresSettings } from './settings.ts'
import type { Upstream } from './upstream.ts'

const name = pg.escapeIdentifier
const literal = pg.escapeLiteral

const SALT_BYTES = 16

/** A role that somebody waits for. */
export type Wanted = {
  readonly settings: PostgresSettings
  readonly lease: WrittenLease
  readonly isWanted: () => Promise<boolean>
}

export type Outcome =
  | { readonly kind: 'made'; readonly details: Details }
  | { readonly kind: 'failed'; readonly why: unknown }

/** Who we are there, which fences are ours, and how many roles we administer ourselves. A transaction is open that holds the fences. */
export type Fenced = { readonly standing: Standing; readonly held: ReadonlySet<number>; readonly own: number }

/**
 * The fence is a lock of the very transaction that makes the role: while we hold it nobody ends this principal, and once somebody does, `isWanted`
 * answers no. So a role cannot be born after it was proven dead, however late this process wakes up.
 */
export async function takeFences(upstream: Upstream, wanted: readonly Wanted[]): Promise<Fenced> {
  const locks = wanted.map(
    ({ lease }, at) => `pg_try_advisory_xact_lock(${fenceOf(lease.principal).join(', ')}) as f${at}`,
  )
  const known = looked.get(upstream)
  const [, , [got] = [], standings = [], counts = []] = await upstream.script<
    Record<string, unknown> & StandingRow & { own: number }
  >('taking the fences', [
    'begin',
    `set local ${BY_INDEX}`,
    `select ${locks.join(', ')}`,
    ...(known ? [] : [STANDING, OWN_ROLES]),
  ])
  const seen = known ?? { standing: standingIn(standings[0]), own: counts[0]?.own ?? 0 }
  const held = new Set(wanted.flatMap((_, at) => (got?.[`f${at}`] === true ? [at] : [])))
  looked.set(upstream, { ...seen, own: seen.own + held.size })
  return { ...seen, held }
}

/** What a connection was found to be, which is good as long as it is kept, and how many roles there are then at most. */
const looked = new WeakMap<Upstream, Pick<Fenced, 'standing' | 'own'>>()

/**
 * Makes roles (core 20), all in the transaction that holds their fences. When a statement fails, each is made in one of its own, step by step, so
 * that one which cannot be made keeps nobody else from theirs and says what it lacks. Throws only when the connection is lost: then what became of them
 * is not known, and whoever announced them ends them.
 */
export async function makeRoles(upstream: Upstream, fenced: Fenced, wanted: readonly Wanted[]): Promise<Outcome[]> {
  try {
    return await makeIn(upstream, fenced, wanted, 'together')
  } catch (error) {
    if (!isRefusal(error)) throw error
    await upstream.query('taking it back', 'rollback')
    // It may have gone since it was looked at.
    forgetMakers(upstream)
  }
  const outcomes: Outcome[] = []
  for (const each of wanted) outcomes.push(await makeAlone(upstream, each))
  return outcomes
}

async function makeAlone(upstream: Upstream, each: Wanted): Promise<Outcome> {
  try {
    const [outcome] = await makeIn(upstream, await takeFences(upstream, [each]), [each], 'step by step')
    return outcome ?? { kind: 'failed', why: new LeaseFailure('the role that was just made is not there') }
  } catch (why) {
    if (!isRefusal(why)) throw why
    await upstream.query('taking it back', 'rollback')
    return { kind: 'failed', why }
  }
}

/** Whether the server is there and said no, or we did. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof LeaseFailure)) return false
  const code = sqlState(error.cause)
  // Class 57: the server or somebody there ends the connection (PostgreSQL manual, appendix A).
  return error.cause === undefined || (code !== undefined && !code.startsWith('57'))
}

type Step = { readonly step: string; readonly text: string }

async function makeIn(
  upstream: Upstream,
  { standing, held, own }: Fenced,
  wanted: readonly Wanted[],
  how: 'together' | 'step by step',
): Promise<Outcome[]> {
  const refused = await Promise.all(wanted.map((each, at) => whyNot(each, held.has(at))))
  const live = wanted.filter((_, at) => refused[at] === undefined)
  const made = await makeLive(upstream, { standing, own, live, how })
  return wanted.map(({ lease }, at) => {
    const details = made.get(lease.principal)
    if (details) return { kind: 'made', details }
    return { kind: 'failed', why: refused[at] ?? new LeaseFailure('the role that was just made is not there') }
  })
}

type Live = {
  readonly standing: Standing
  readonly own: number
  readonly live: readonly Wanted[]
  readonly how: 'together' | 'step by step'
}

type Noted = { readonly oids: readonly string[]; readonly since: string }

/** The details of each that was made, by its name. Nothing is open any more. */
async function makeLive(upstream: Upstream, { standing, own, live, how }: Live): Promise<Map<string, Details>> {
  const leases = live.map(({ lease }) => lease)
  if (leases.length === 0) {
    await upstream.query('making no role', 'commit')
    return new Map()
  }
  const maker = await makerFor(upstream, standing, own, leases)
  const steps = await stepsFor(standing, live, maker)
  const names = leases.map(({ principal }) => literal(name(principal))).join(', ')
  const noting = `select array[${names}]::regrole[]::oid[]::text[] as oids, pg_current_xact_id()::text as since`
  const isShut = leases.some(({ terms }) => terms.databases.length > 0)
  let noted: Noted | undefined
  if (how === 'together' && !isShut) {
    const rows = await upstream.script<Noted>('making the role', [...steps.map(({ text }) => text), noting, 'commit'])
    noted = rows.at(-2)?.[0]
  } else {
    for (const { step, text } of steps) await upstream.query(step, text)
    await letIn(upstream, leases)
    noted = (await upstream.query<Noted>('noting the role', noting))[0]
    await upstream.query('making the role', 'commit')
  }
  const { oids = [], since } = noted ?? {}
  return new Map(
    leases.flatMap(({ principal }, at) => {
      const oid = oids[at]
      return oid === undefined || since === undefined ? [] : [[principal, { oid, since, version: standing.version }]]
    }),
  )
}

async function whyNot({ isWanted }: Wanted, isHeld: boolean): Promise<unknown> {
  if (!isHeld) return new NotWanted('the lease is being ended before it was made')
  try {
    return (await isWanted()) ? undefined : new NotWanted('the lease was ended before it was made')
  } catch (why) {
    return why
  }
}

async function stepsFor(standing: Standing, live: readonly Wanted[], maker: string | undefined): Promise<Step[]> {
  const verifiers = await Promise.all(live.map(verifierOf))
  const leases = live.map(({ lease }) => lease)
  const creating = leases.map(({ principal, terms }, at) => ({
    step: 'making the role',
    text: `create role ${name(principal)} with login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls
       connection limit ${connectionLimit(terms.connections)}
       valid until ${literal(terms.validUntil.toISOString())} password ${literal(verifiers[at] ?? '')}`,
  }))
  // Before 16 the role's own NOINHERIT says it, and whoever is a member may SET ROLE.
  const how = standing.version >= 160_000 ? ' with inherit false, set true' : ''
  const groups = new Set(leases.flatMap(({ terms }) => terms.roles))
  const joining = [...groups].map((group) => {
    const members = leases.filter(({ terms }) => terms.roles.includes(group)).map(({ principal }) => name(principal))
    return { step: `letting it act as ${group}`, text: `grant ${name(group)} to ${members.join(', ')}${how}` }
  })
  // Applied at login: objects are born owned by the group, and its default privileges apply.
  const setting = leases.flatMap(({ principal, terms: { roles } }) =>
    roles.slice(0, 1).map((widest) => ({
      step: 'setting its role',
      text: `alter role ${name(principal)} set role = ${literal(widest)}`,
    })),
  )
  const steps = [...creating, ...joining, ...setting]
  if (maker === undefined) return steps
  return [
    ...actingAs(maker).map((text) => ({ step: 'acting as a maker', text })),
    ...steps,
    { step: 'acting as the provisioner', text: 'reset role' },
  ]
}

// A backend lives on for a moment after its client left: clients that reconnect at once need room. The gateway counts exactly.
function connectionLimit(connections: number): number {
  return Math.min(connections * 2 + 4, 20_000)
}

/** The name is random, so a salt made of it is one too, and a repeated run gives the same verifier. */
async function verifierOf({ lease, settings }: Wanted): Promise<string> {
  const salt = sha256(lease.principal).subarray(0, SALT_BYTES)
  return scramVerifier(lease.secret, salt, settings.scramIterations)
}

/** A session enters as the lease itself, which inherits nothing: where PUBLIC may not connect, it needs the right by name. */
async function letIn(upstream: Upstream, leases: readonly WrittenLease[]): Promise<void> {
  for (const { principal, datname } of await shutOf(upstream, leases)) {
    await upstream.query(
      `letting it connect to ${datname}`,
      `grant connect on database ${name(datname)} to ${name(principal)}`,
    )
  }
  // A grant without the right to grant is only a warning to PostgreSQL.
  const [still] = await shutOf(upstream, leases)
  if (still) throw new LeaseFailure(`the provisioner cannot let it connect to database ${still.datname}`)
}

type Shut = { readonly principal: string; readonly datname: string }

async function shutOf(upstream: Upstream, leases: readonly WrittenLease[]): Promise<Shut[]> {
  const pairs = leases.flatMap(({ principal, terms }) => terms.databases.map((datname) => ({ principal, datname })))
  if (pairs.length === 0) return []
  return upstream.query<Shut>(
    'looking at who may connect',
    `select each.principal, d.datname
       from unnest($1::text[], $2::text[]) as each (principal, datname) join pg_database d on d.datname = each.datname
      where not has_database_privilege(each.principal::name, d.oid, 'connect')`,
    [pairs.map(({ principal }) => principal), pairs.map(({ datname }) => datname)],
  )
}
