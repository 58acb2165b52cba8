import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { enrolCast, type Cast } from '../../demo/people.ts'
import { applyChange, approveChange, Change, readChange } from '../../src/access/contract.ts'
import { registerTarget } from '../../src/catalog/contract.ts'
import { openClient, type Client } from '../../src/cli/client.ts'
import { loadConfig } from '../../src/kernel/config.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { startServer } from '../../src/server.ts'
import {
  activatePolicies,
  evaluateDecision,
  listPolicyVersions,
  proposePolicies,
  readPolicyVersion,
  revertPolicies,
  type RuleVersion,
} from '../../src/policy/contract.ts'
import type { Operation } from '../../src/kernel/operation.ts'
import { cleaningOfFile, site, type Site } from '../support/installation.ts'
import { eventually } from '../support/eventually.ts'
import { reeve } from '../support/program.ts'

let on: Site
let cast: Cast
const cleaning = cleaningOfFile()
const HALT = `@id("halt") @why("nothing is registered this week")
forbid (principal, action == Reeve::Action::"target.register", resource);`

before(async () => {
  on = await site(cleaning)
  cast = await enrolCast(on.server)
})
after(() => cleaning.now())

async function active(): Promise<RuleVersion> {
  const { items } = await cast.bob.ask(listPolicyVersions)
  const found = items.find(({ isActive }) => isActive)
  assert.ok(found)
  return found
}

/** Asked by Ada, approved by Erin of security as she read it, applied by Ada. */
async function underApproval(operation: Operation, params: Record<string, string>): Promise<readonly string[]> {
  const asked = Change.parse(await cast.ada.call(operation, { params, requestApproval: 'the week is over' }))
  const { boundSha256, preview } = await cast.erin.ask(readChange, { params: { change: asked.id } })
  await cast.erin.ask(approveChange, { params: { change: asked.id }, input: { boundSha256 } })
  await cast.ada.ask(applyChange, { params: { change: asked.id } })
  return preview
}

function refusal(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'nothing',
    (error: unknown) => (error instanceof Error && 'slug' in error ? String(error.slug) : String(error)),
  )
}

let targets = 0
function register(by: Client): Promise<unknown> {
  const settings = { host: '127.0.0.1', port: 5432 }
  const name = `t-${(targets += 1)}`
  return by.ask(registerTarget, {
    input: { name, protocol: 'postgres', environment: 'test', ownerTeam: 'shop', settings },
  })
}

test('a version is proposed from a folder, put before security with the difference, decides on every door at once, and one command takes it back', async () => {
  const shipped = await active()
  const { files } = await cast.bob.ask(readPolicyVersion, { params: { version: shipped.id } })
  const folder = join(on.folder, 'own')
  mkdirSync(folder)
  const more = [
    { name: 'halt.cedar', text: HALT },
    { name: 'authzen.yaml', text: 'types: { box: Target }\n' },
  ]
  for (const { name, text } of [...files, ...more]) writeFileSync(join(folder, name), text)
  const { address, authority = '', token } = cast.ada.connection
  writeFileSync(join(on.folder, 'ca.pem'), authority)
  const env = {
    PATH: process.env.PATH,
    HOME: on.folder,
    REEVE_ADDR: address.href,
    REEVE_TOKEN: token?.reveal(),
    REEVE_CACERT: join(on.folder, 'ca.pem'),
  }
  const proposed = await reeve({ folder: on.folder, env }, [
    'policy',
    'propose',
    folder,
    '--note',
    'a quiet week',
    '-o',
    'name',
  ])
  assert.equal(proposed.code, 0, proposed.stderr)
  const version = proposed.stdout.trim()
  assert.match(proposed.stderr, /reeve policy activate .* --request-approval/)
  assert.equal(await refusal(cast.ada.ask(activatePolicies, { params: { version } })), 'approval-owed')

  const preview = await underApproval(activatePolicies, { version })

  assert.ok(
    preview.some((line) => line.includes('box')),
    preview.join('\n'),
  )
  assert.ok(preview.includes('added: forbid halt (nothing is registered this week)'), preview.join('\n'))
  assert.equal((await active()).id, version)
  assert.equal(await refusal(register(cast.ada)), 'not-permitted')
  await underApproval(revertPolicies, {})
  assert.equal((await active()).id, shipped.id)
  assert.equal(await refusal(register(cast.ada)), 'nothing')
})

test('a node started on the same database decides by what is active there, and follows from then on', async (t) => {
  const { files } = await cast.bob.ask(readPolicyVersion, { params: { version: (await active()).id } })
  const input = { files: [...files, { name: 'halt.cedar', text: HALT }] }
  const { id: version } = await cast.ada.ask(proposePolicies, { input })
  await underApproval(activatePolicies, { version })

  const second = await startServer(loadConfig({ env: {}, workingFolder: on.folder, file: on.config }), silentLog)
  t.after(() => second[Symbol.asyncDispose]())
  using ada = openClient({ ...cast.ada.connection, address: new URL(second.api.url) })

  const there = () => refusal(register(ada))
  assert.equal(await there(), 'not-permitted')
  await underApproval(revertPolicies, {})
  assert.equal(await eventually(async () => ((await there()) === 'nothing' ? 'followed' : undefined)), 'followed')
})

test('the words of enforcement points belong to the version that decides: they change with it, and go back with it', async () => {
  const { files } = await cast.bob.ask(readPolicyVersion, { params: { version: (await active()).id } })
  const asked = { subject: { type: 'user', id: 'ada' }, resource: { type: 'installation', id: 'installation' } }
  const decided = async (name: string) =>
    (await cast.ada.ask(evaluateDecision, { input: { ...asked, action: { name } } })).decision
  const words = (text: string) => ({ files: [...files, { name: 'authzen.yaml', text }] })
  const { id: version } = await cast.ada.ask(proposePolicies, { input: words('actions: { LOOK: identity.list }') })
  assert.deepEqual([await decided('LOOK'), await decided('identity.list')], [false, true])

  const preview = await underApproval(activatePolicies, { version })

  assert.ok(
    preview.some((line) => line.includes('LOOK')),
    preview.join('\n'),
  )
  assert.equal(await decided('LOOK'), true)
  await underApproval(revertPolicies, {})
  assert.equal(await decided('LOOK'), false)
  const wrong = cast.ada.ask(proposePolicies, { input: words('actions: { LOOK: identity.lst }') })
  await assert.rejects(wrong, /authzen\.yaml.*actions\.LOOK: the schema has no action identity\.lst/)
})

test('with a folder named in the configuration its files decide, and versions are refused with a sentence that says so', async (t) => {
  const pinned = await site(t, { policies: join(import.meta.dirname, '../../policies') })
  const people = await enrolCast(pinned.server)

  const refused = people.ada.ask(proposePolicies, { input: { files: [{ name: 'own.cedar', text: HALT }] } })

  await assert.rejects(refused, /names a folder, and its files decide/)
  assert.deepEqual((await people.bob.ask(listPolicyVersions)).items, [])
})
