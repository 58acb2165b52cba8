import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { refusalOf } from '../../../test/support/access-world.ts'
import type { ChangeWorld } from '../../../test/support/change-world.ts'
import { rulesWorld, SHIPPED_FILES, SHIPPED_TEXT, type RulesWorld } from '../../../test/support/rules-world.ts'
import { TEAMS } from '../../../test/support/world.ts'
import type { Change } from '../../access/contract.ts'
import type { Identity } from '../../identities/contract.ts'
import { transact } from '../../kernel/db.ts'
import { onReach } from '../../kernel/fault.ts'
import { Problem } from '../../kernel/problem.ts'
import { liveEngine, openCedarEngine } from '../policy.ts'
import { buildSchema } from '../schema.ts'
import { setOfHere } from './build.ts'
import { PolicyVersionDetail, type RuleVersion } from './contract.ts'
import { openLiveRules } from './live.ts'
import { policyRules } from './policies.ts'
import { loadActive } from './records.ts'
import { ensureShipped } from './store.ts'

const SHIPPED = SHIPPED_TEXT
/** Nobody registers a target any more. */
const HALT = `
@id("halt-registration")
@why("nothing is registered this week")
forbid (principal, action == Reeve::Action::"target.register", resource);
`
const HALTED = [...SHIPPED_FILES, { name: 'halt.cedar', text: HALT }]

type VersionWorld = Omit<RulesWorld, 'propose' | 'activate'> & {
  readonly propose: (who: Identity, files?: typeof SHIPPED_FILES) => Promise<RuleVersion>
  readonly activate: (version: Pick<RuleVersion, 'id'>, approver?: Identity) => Promise<unknown>
  readonly mayRegister: () => Promise<boolean>
}

async function versionWorld(
  t: Pick<TestContext, 'after'>,
  options: Parameters<typeof rulesWorld>[1] = {},
): Promise<VersionWorld> {
  const w = await rulesWorld(t, options)
  return {
    ...w,
    propose: (who, files = HALTED) => w.propose(who, 'policy', { files }),
    activate: (version, approver) => w.activate('policy', version, approver),
    mayRegister: async () =>
      (
        await w.access.decisions.decide(w.db, {
          subject: { type: 'Person', id: w.founder.id, proof: 'token' },
          action: 'target.register',
          resource: { type: 'Installation', id: 'installation', attributes: { id: 'installation' } },
        })
      ).decision,
  }
}

function approve(w: ChangeWorld, who: Identity, { id, boundSha256 }: Change) {
  return w.on(who, 'change.approve', { params: { change: id }, input: { boundSha256 } })
}

async function activeOf(w: VersionWorld): Promise<string | undefined> {
  return (await loadActive(w.db, 'policies'))?.versionId
}

test('the shipped policies are version one and decide until others are activated', async (t) => {
  const w = await versionWorld(t)

  const active = await loadActive(w.db, 'policies')

  assert.deepEqual([active?.seq, active?.origin, active?.files], [1, 'shipped', SHIPPED_FILES])
  assert.equal(active?.sha256, w.engine.current().set.sha256)
  assert.equal(w.live.policies.isLoaded(), true)
})

test('a version is proposed, approved by security with what it changes before them, and decides at once', async (t) => {
  const w = await versionWorld(t)
  const version = await w.propose(w.founder)
  assert.equal(version.isActive, false)
  assert.equal(await w.mayRegister(), true)
  assert.equal(
    await refusalOf(w.on(w.founder, 'policy.activate', { params: { version: version.id } })),
    'approval-owed',
  )
  const change = await w.put(w.founder, 'policy.activate', { params: { version: version.id } })
  const seen = (await w.on(w.carol, 'change.read', { params: { change: change.id } })) as { preview: string[] }
  assert.match(seen.preview.join('\n'), /added: forbid halt-registration \(nothing is registered this week\)\n\+ @id/)
  assert.equal(
    seen.preview[0],
    `from ${w.engine.current().set.sha256} to ${version.sha256}, over calendar 1, catalog 1, policies 1, teams 1`,
  )

  await approve(w, w.carol, change)
  await w.on(w.founder, 'change.apply', { params: { change: change.id } })

  assert.equal(await w.mayRegister(), false)
  assert.equal(await activeOf(w), version.id)
  assert.equal(w.access.decisions.epoch(), version.sha256)
  const kinds = await w.kinds()
  assert.deepEqual(kinds.slice(-2), ['change.used', 'policies.activated'])
})

test('a set that is not valid is refused whole, with file, line and column, and nothing of it is kept', async (t) => {
  const w = await versionWorld(t)
  const files = [
    ...SHIPPED_FILES,
    { name: 'bad.cedar', text: 'permit (principal, action, resource)\nwhen { resource.nmae == "x" };\n' },
  ]

  await assert.rejects(w.propose(w.founder, files), (error) => {
    assert.ok(error instanceof Problem)
    assert.equal(error.slug, 'policy-set-invalid')
    const [fault] = error.facts['faults'] as { file: string; line: number; column: number }[]
    assert.deepEqual([fault?.file, fault?.line], ['bad.cedar', 2])
    assert.ok((fault?.column ?? 0) > 1)
    return true
  })

  const { count } = await w.db
    .selectFrom('ruleVersion')
    .where('kind', '=', 'policies')
    .select((row) => row.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  assert.equal(count, 1)
})

test('attack: nobody activates alone, who proposed a version does not approve it, and strangers neither propose nor ask', async (t) => {
  const teams = { ...TEAMS, security: { members: ['carol', 'bob'] } }
  const w = await versionWorld(t, { teams })
  const version = await w.propose(w.carol)
  const change = await w.put(w.founder, 'policy.activate', { params: { version: version.id } })

  assert.notEqual(await refusalOf(approve(w, w.carol, change)), 'nothing')
  assert.equal(await refusalOf(w.propose(w.dave)), 'not-permitted')
  assert.equal(await refusalOf(w.put(w.dave, 'policy.activate', { params: { version: version.id } })), 'not-permitted')
  assert.equal(await w.mayRegister(), true)
  await approve(w, w.bob, change)
  await w.on(w.founder, 'change.apply', { params: { change: change.id } })

  assert.equal(await w.mayRegister(), false)
})

test('what was approved over one version is void once another decides', async (t) => {
  const w = await versionWorld(t)
  const first = await w.propose(w.founder)
  const late = await w.put(w.founder, 'policy.activate', { params: { version: first.id } })
  await approve(w, w.carol, late)
  const other = [...SHIPPED_FILES, { name: 'other.cedar', text: HALT.replaceAll('halt-registration', 'other') }]
  await w.activate(await w.propose(w.founder, other))

  assert.equal(await refusalOf(w.on(w.founder, 'change.apply', { params: { change: late.id } })), 'bound-changed')
  assert.equal(await w.stateOf(late), 'void')
  assert.notEqual(await activeOf(w), first.id)
})

test('of two approved activations at the same moment one takes place', async (t) => {
  const w = await versionWorld(t)
  const asked = []
  for (const name of ['one', 'two']) {
    const version = await w.propose(w.founder, [
      ...SHIPPED_FILES,
      { name: `${name}.cedar`, text: HALT.replaceAll('halt-registration', name) },
    ])
    const change = await w.put(w.founder, 'policy.activate', { params: { version: version.id } })
    await approve(w, w.carol, change)
    asked.push(change)
  }

  const ends = await Promise.all(
    asked.map(({ id }) => refusalOf(w.on(w.founder, 'change.apply', { params: { change: id } }))),
  )

  assert.equal(ends.filter((end) => end === 'nothing').length, 1, ends.join())
  assert.equal((await loadActive(w.db, 'policies'))?.seq, 2)
})

test('one command goes back, under the same approval, and again further back, until there is nothing before', async (t) => {
  const w = await versionWorld(t)
  const shipped = await activeOf(w)
  const first = await w.propose(w.founder)
  await w.activate(first)
  const second = await w.propose(w.founder, [
    ...HALTED,
    { name: 'more.cedar', text: HALT.replaceAll('halt-registration', 'more') },
  ])
  await w.activate(second)
  const revert = async () => {
    assert.equal(await refusalOf(w.on(w.founder, 'policy.revert', {})), 'approval-owed')
    const change = await w.put(w.founder, 'policy.revert', {})
    await approve(w, w.carol, change)
    await w.on(w.founder, 'change.apply', { params: { change: change.id } })
    return activeOf(w)
  }

  assert.equal(await revert(), first.id)
  assert.equal(await w.mayRegister(), false)
  assert.equal(await revert(), shipped)
  assert.equal(await w.mayRegister(), true)
  assert.equal(await refusalOf(w.put(w.founder, 'policy.revert', {})), 'nothing-before')
})

test('policies under which nobody could take them back are not put before anybody', async (t) => {
  const w = await versionWorld(t)
  const shut = 'forbid (principal, action in Reeve::Action::"policies.change", resource);'
  const ghost = SHIPPED.replace(
    '@why("administrators, security and the founder let',
    '@approval("1 of ghosts")\n@why("x, security and the founder let',
  )

  for (const text of [
    `${SHIPPED}\n@id("shut") ${shut}`,
    ghost.replace(
      '@approval("1 of security")\n@reason\npermit (principal is Reeve::Person, action in Reeve::Action::"rules.change"',
      '@reason\npermit (principal is Reeve::Person, action in Reeve::Action::"rules.change"',
    ),
  ]) {
    const version = await w.propose(w.founder, [{ name: 'default.cedar', text }])
    const end = await refusalOf(w.put(w.founder, 'policy.activate', { params: { version: version.id } }))
    assert.equal(end, 'rules-lock-out')
  }
})

test('every node follows: by the hint, and by looking when no hint came', async (t) => {
  const w = await versionWorld(t)
  const { needs, other } = await secondNode(t, w)

  const version = await w.propose(w.founder)
  await w.activate(version)
  assert.notEqual(needs.engine.current().set.sha256, version.sha256)
  other.heard('session:1')
  other.heard('rules:policies:2')
  await other.refresh()

  assert.equal(needs.engine.current().set.sha256, version.sha256)
})

/** Another node on the same database. */
async function secondNode(t: Pick<TestContext, 'after'>, w: VersionWorld) {
  const { schema } = w.ruleKinds.policies.current()
  const engine = liveEngine(openCedarEngine(setOfHere(SHIPPED_FILES, schema)))
  t.after(() => engine[Symbol.dispose]())
  const needs = { ...w.rules, engine }
  const other = await openLiveRules(needs, kindFor(w, engine, schema), SHIPPED_FILES)
  t.after(() => other[Symbol.asyncDispose]())
  return { needs, other }
}

function kindFor(w: VersionWorld, engine = w.engine, schema = w.ruleKinds.policies.current().schema) {
  return policyRules({
    clock: w.clock,
    random: w.needs.random,
    teams: w.teams,
    versioned: new Set(['policies']),
    engine,
    schema,
    open: async (set) => openCedarEngine(set),
  })
}

test('attack: a node that cannot load what is active does not go on by the old version: it denies everything and is not ready', async (t) => {
  const w = await versionWorld(t)
  // A later release has an action that this one's node does not know.
  const base = await readFile(join(import.meta.dirname, '../../../policies/schema.cedarschema'), 'utf8')
  const { needs, other } = await secondNode(t, w)
  const actions = { name: 'thing.new', groups: ['records.read'], resources: ['Installation'] }
  const own = JSON.parse(await readFile(join(import.meta.dirname, '../../../policies/actions.json'), 'utf8')) as Record<
    string,
    { groups: string[]; resources: string[] }
  >
  const later = buildSchema(base, [...Object.entries(own).map(([name, each]) => ({ name, ...each })), actions])
  const files = [
    {
      name: 'default.cedar',
      text: `${SHIPPED}\n@id("new") permit (principal, action == Reeve::Action::"thing.new", resource);`,
    },
  ]
  await transact(w.db, (tx) => ensureShipped(tx, w.rules, kindFor(w, w.engine, later), files))

  await other.refresh()

  assert.equal(other.isLoaded(), false)
  const evaluation = needs.engine.current().evaluate({
    principal: { type: 'Person', id: w.founder.id },
    action: 'identity.whoami',
    resource: { type: 'Installation', id: 'installation' },
    context: {},
    entities: [],
  })
  assert.equal(evaluation.decision, false)
  assert.match(evaluation.errors[0]?.message ?? '', /cannot be loaded on this node/)
})

test('a later release’s policies follow the shipped ones, never those somebody activated, and an older node takes nothing back', async (t) => {
  const w = await versionWorld(t)
  const newer = [{ name: 'default.cedar', text: `${SHIPPED}\n${HALT}` }]

  await transact(w.db, (tx) => ensureShipped(tx, w.rules, w.ruleKinds.policies, newer))
  await w.live.policies.refresh()
  assert.equal(await w.mayRegister(), false)
  await transact(w.db, (tx) => ensureShipped(tx, w.rules, w.ruleKinds.policies, SHIPPED_FILES))
  await w.live.policies.refresh()
  assert.equal(await w.mayRegister(), false)

  const own = await w.propose(w.founder, HALTED)
  await w.activate(own)
  await transact(w.db, (tx) =>
    ensureShipped(tx, w.rules, w.ruleKinds.policies, [{ name: 'default.cedar', text: `${SHIPPED}\n// newest` }]),
  )
  assert.equal(await activeOf(w), own.id)
})

test('cut at any step between the proposal and the swap, a version decides everywhere or nowhere, and the next look finds it', async (t) => {
  for (const point of ['rules.version-stored', 'rules.activated', 'rules.swapping', 'change.used']) {
    const w = await versionWorld(t)
    const version = point === 'rules.version-stored' ? undefined : await w.propose(w.founder)
    {
      using cut = onReach((label) => {
        if (label === point) throw new Error(`cut at ${label}`)
      })
      void cut
      await assert.rejects(version ? w.activate(version) : w.propose(w.founder), /cut at/)
    }

    await w.live.policies.refresh()

    const isActive = version !== undefined && (await activeOf(w)) === version.id
    assert.equal(isActive, point === 'rules.swapping', point)
    assert.equal(await w.mayRegister(), !isActive, point)
    const used = await w.db.selectFrom('change').select('state').executeTakeFirst()
    if (version) assert.equal(used?.state, isActive ? 'used' : 'approved', point)
    if (version && !isActive) {
      const change = await w.db.selectFrom('change').select('id').executeTakeFirstOrThrow()
      await w.on(w.founder, 'change.apply', { params: { change: change.id } })
      assert.equal(await w.mayRegister(), false)
    }
  }
})

test('where a folder of files decides, versions are refused with a sentence that says so', async (t) => {
  const w = await versionWorld(t, { isPinned: true })

  await assert.rejects(w.propose(w.founder), /`policies` in the configuration names a folder, and its files decide/)
  assert.equal(await refusalOf(w.put(w.founder, 'policy.revert', {})), 'rules-pinned')
})

test('attack: a version is not changed once it is kept, nor an activation taken out, by the role the server runs as', async (t) => {
  const w = await versionWorld(t)
  for (const statement of [
    sql`update rule_version set files = '[]'`,
    sql`delete from rule_version`,
    sql`update rule_activation set version_id = version_id`,
    sql`delete from rule_activation`,
  ]) {
    await assert.rejects(statement.execute(w.db), { code: '42501' })
  }
})

test('a version is read with its files and with what activating it would change', async (t) => {
  const w = await versionWorld(t)
  const { id } = await w.propose(w.founder)

  const read = PolicyVersionDetail.parse(
    PolicyVersionDetail.encode((await w.on(w.dave, 'policy.read', { params: { version: id } })) as never),
  )

  assert.deepEqual(read.files, HALTED)
  assert.ok(read.difference.some((line) => line.startsWith('added: forbid halt-registration')))
})
