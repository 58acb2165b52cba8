import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { enrol, redeem } from '../../demo/people.ts'
import { listCases } from '../../src/lifecycle/contract.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { founded } from '../support/installation.ts'
import { pythonWith } from './peers/python.ts'

// scim2-tester reads what a server says of itself and then tries each attribute of each resource in each way that the standard has.
const CHECK = join(import.meta.dirname, 'scim', 'check.py')

test('scim2-tester finds nothing wrong, and scim2-client enters, finds, stops and deletes a person', async (t) => {
  const { server, folder, ada } = await founded(t, { lifecycle: { providers: ['entra'] } })
  const bob = await enrol(server, ada, { kind: 'human', name: 'bob', profile: 'person' })
  const entra = { kind: 'machine', name: 'entra', profile: 'integration', owner: 'bob' } as const
  await ada.ask(registerIdentity, { input: entra })
  await bob.ask(attestOwner, { params: { identity: 'entra' } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: 'entra' }, input: {} })
  const provider = await redeem(server, secret)
  const ca = join(folder, 'ca.pem')
  await writeFile(ca, server.authority.certificate)

  const program = await pythonWith('scim2', [
    'scim2-tester==0.5.2',
    'scim2-client[httpx2]==0.13.2',
    'scim2-models==0.12.3',
    'httpx2==2.16.2',
  ])
  const child = spawn(program, [CHECK], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify({ base: `${server.api.url}/scim/v2`, token: provider.connection.token?.reveal(), ca }))
  const found = JSON.parse(await text(child.stdout))

  assert.deepEqual(found.failed, [])
  assert.ok(found.counts.SUCCESS > 50, JSON.stringify(found.counts))
  assert.deepEqual(found.work, {
    found: 1,
    groups: ['engineers'],
    active: false,
    gone: 404,
    sorted: ['kim@example.org', 'joan@example.org'],
    bulk: [201, 201, 404],
    members: 2,
  })
  const { items } = await ada.ask(listCases, { query: { reason: 'leaver', isOpen: true } })
  assert.ok(items.length > 0 && items.every(({ state }) => state !== 'opened'))
})
