import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as pathOf } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { nobody, redeem } from '../../../demo/people.ts'
import { cleaningOfFile } from '../../../test/support/installation.ts'
import { credentialNeeds } from '../../../test/support/lease-world.ts'
import { connectTo, machineWorld, type MachineWorld } from '../../../test/support/machine-world.ts'
import type { Proof } from '../../agent/server.ts'
import { registerTarget, updateTarget } from '../../catalog/contract.ts'
import { ApiProblem } from '../../cli/problems.ts'
import { enrolIdentity, suspendIdentity } from '../../identities/contract.ts'
import { teamsFrom } from '../../identities/identities.ts'
import { transact } from '../../kernel/db.ts'
import { newKeyPair, type KeyPair } from '../../kernel/key-pair.ts'
import { Secret } from '../../kernel/secret.ts'
import { sealedKeys } from '../../kernel/signing-keys.ts'
import {
  attestationText,
  certifyOnMachine,
  createPlacement,
  evictMachine,
  followMachine,
  HOST_KEY_NAMESPACE,
  inviteMachine,
  joinMachine,
  listMachines,
  machineRefused,
  renewMachine,
} from './contract.ts'
import { join } from './join.ts'

let here: MachineWorld
const cleaning = cleaningOfFile()
const BOOT = '6f2f2c34-7c1e-4c6a-9d0e-0f1f2a3b4c5d'
const OTHER_BOOT = '11111111-7c1e-4c6a-9d0e-0f1f2a3b4c5d'

before(async () => {
  here = await machineWorld(cleaning)
})
after(() => cleaning.now())

const refusedAs = (slug: string) => (error: unknown) => error instanceof ApiProblem && error.slug === slug
const now = () => new Date().toISOString()

async function joined(machine: string, token: string | undefined, more: object = {}, pair?: KeyPair) {
  const own = pair ?? (await newKeyPair())
  const input = { identity: machine, token, publicKey: own.publicKey, bootId: BOOT, at: now(), ...more }
  const given = await here.nobody.ask(joinMachine, { input })
  const proof: Proof = { token: new Secret(given.token), certificate: given.certificate, privateKey: own.privateKey }
  return { ...given, proof, pair: own }
}

/** What the server answers to who shows this. */
function as(proof: Proof) {
  const server = connectTo(nobody(here.server))(proof)
  cleaning.after(() => server[Symbol.dispose]())
  return server
}

async function renewal(proof: Proof, more: object = {}) {
  const pair = await newKeyPair()
  const input = { publicKey: pair.publicKey, bootId: BOOT, at: now(), ...more }
  const given = await as(proof).ask(renewMachine, { input })
  return { token: new Secret(given.token), certificate: given.certificate, privateKey: pair.privateKey }
}

test('attack: a join token admits once, and only the machine it was made for', async () => {
  await here.identity('machine', 'm-token')
  await here.identity('machine', 'm-other')
  const token = await here.invite('m-token')
  const other = await here.invite('m-other')

  await assert.rejects(joined('m-other', token), refusedAs('machine-refused'))
  await assert.rejects(joined('m-token', other), refusedAs('machine-refused'))
  await assert.rejects(joined('m-token', `${token}x`), refusedAs('machine-refused'))
  await assert.rejects(joined('m-token', undefined), refusedAs('machine-refused'))
  await assert.rejects(joined('nobody-there', token), refusedAs('machine-refused'))
  const tries = await Promise.allSettled(Array.from({ length: 6 }, () => joined('m-token', token)))
  assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
  await assert.rejects(joined('m-token', token), refusedAs('machine-refused'))
})

test('attack: a token that is older than it was made for admits nobody', async () => {
  await here.identity('machine', 'm-late')
  const token = await here.invite('m-late')
  const never = () => assert.fail('nothing is given')
  const at = new Date(Date.now() + 901_000)
  const clock = { now: () => at, monotonicMs: () => 0 }
  const needs = {
    ...credentialNeeds(clock),
    db: here.database.db,
    trustDomain: 'example.org',
    teams: teamsFrom(new Map()),
    certify: never,
    keys: sealedKeys,
  }
  const { publicKey } = await newKeyPair()

  await assert.rejects(
    transact(here.database.db, (tx) => join(tx, needs, { identity: 'm-late', token, publicKey, bootId: BOOT, at })),
    (error) => machineRefused.is(error),
  )
  await joined('m-late', token)
})

test('an older invitation ends with a newer one, and people and workloads are invited to nothing', async () => {
  await here.identity('machine', 'm-again')
  await here.identity('workload', 'w-no-machine')
  const older = await here.invite('m-again')
  const newer = await here.invite('m-again')

  await assert.rejects(joined('m-again', older), refusedAs('machine-refused'))
  await joined('m-again', newer)
  await assert.rejects(here.invite('w-no-machine'), refusedAs('invalid-input'))
})

test('attack: what a machine was admitted with is worth nothing without its key, or after it was evicted', async () => {
  await here.identity('machine', 'm-stolen')
  const { proof } = await joined('m-stolen', await here.invite('m-stolen'))
  await as(proof).ask(followMachine, {})
  const thief = await newKeyPair()

  const withoutKey = connectTo(nobody(here.server))({ ...proof, ...(await selfSigned(thief)) })
  await assert.rejects(withoutKey.ask(followMachine, {}), refusedAs('unauthenticated'))
  withoutKey[Symbol.dispose]()
  await here.ada.ask(evictMachine, { params: { identity: 'm-stolen' }, input: { reason: 'it was stolen' } })

  await assert.rejects(as(proof).ask(followMachine, {}), refusedAs('unauthenticated'))
  await assert.rejects(renewal(proof), refusedAs('unauthenticated'))
  const { items } = await here.ada.ask(listMachines, {})
  assert.equal(items.find(({ identity }) => identity === 'm-stolen')?.endReason, 'it was stolen')
})

async function selfSigned(pair: KeyPair) {
  const folder = mkdtempSync(pathOf(tmpdir(), 'reeve-thief-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  const key = pathOf(folder, 'key.pem')
  writeFileSync(key, pair.privateKey.reveal())
  const certificate = execFileSync('openssl', ['req', '-x509', '-new', '-key', key, '-subj', '/CN=x', '-days', '1'], {
    encoding: 'utf8',
  })
  return { certificate, privateKey: pair.privateKey }
}

test('a machine goes on by proving the same again; the answer may get lost, and the old token ends when the new one is used', async () => {
  await here.identity('machine', 'm-renew')
  const { proof } = await joined('m-renew', await here.invite('m-renew'))

  await renewal(proof)
  const next = await renewal(proof)
  await as(next).ask(followMachine, {})

  await assert.rejects(as(proof).ask(followMachine, {}), refusedAs('unauthenticated'))
  await as(next).ask(followMachine, {})
})

test('attack: another boot, or a stopped identity, goes on with nothing', async () => {
  await here.identity('machine', 'm-boot')
  const { proof } = await joined('m-boot', await here.invite('m-boot'))

  await assert.rejects(renewal(proof, { bootId: OTHER_BOOT }), refusedAs('machine-refused'))
  await here.ada.ask(suspendIdentity, { params: { identity: 'm-boot' }, input: { reason: 'it leaked' } })
  await assert.rejects(renewal(proof), refusedAs('unauthenticated'))
  await assert.rejects(joined('m-boot', await here.invite('m-boot').catch(() => 'none')), refusedAs('machine-refused'))
})

test('attack: a machine with an ordinary token was never attested, and serves nobody', async () => {
  await here.identity('machine', 'm-plain')
  await here.identity('workload', 'w-plain')
  const placement = await here.place('w-plain', 'm-plain', ['unix:uid:0'])
  const { secret } = await here.ada.ask(enrolIdentity, { params: { identity: 'm-plain' }, input: {} })
  const plain = await redeem(here.server, secret, {}, true)
  const { publicKey } = await newKeyPair()

  await assert.rejects(plain.ask(followMachine, {}), refusedAs('machine-refused'))
  await assert.rejects(plain.ask(certifyOnMachine, { input: { placement, publicKey } }), refusedAs('machine-refused'))
})

test('attack: a machine vouches for what is placed on it and for nothing else, also when it knows the placement', async () => {
  for (const name of ['m-one', 'm-two']) await here.identity('machine', name)
  for (const name of ['w-one', 'w-two']) await here.identity('workload', name)
  const mine = await here.place('w-one', 'm-one', ['unix:uid:0'])
  const theirs = await here.place('w-two', 'm-two', ['unix:uid:0'])
  const { proof } = await joined('m-one', await here.invite('m-one'))
  const { publicKey } = await newKeyPair()
  const certified = (placement: string) => as(proof).ask(certifyOnMachine, { input: { placement, publicKey } })

  assert.match((await certified(mine)).certificate, /BEGIN CERTIFICATE/)
  await assert.rejects(certified(theirs), refusedAs('not-found'))
  const { placements } = await as(proof).ask(followMachine, {})
  assert.deepEqual(
    placements.map(({ id }) => id),
    [mine],
  )
  await here.ada.ask(suspendIdentity, { params: { identity: 'w-one' }, input: { reason: 'it leaked' } })
  await assert.rejects(certified(mine), refusedAs('svid-refused'))
})

test('a workload is placed only where its machine is as strict, by selectors that name something', async () => {
  await here.identity('machine', 'm-loose', { tier: 3 })
  await here.identity('workload', 'w-strict', { tier: 1 })
  const place = (machine: string, selectors: string[]) =>
    here.ada.ask(createPlacement, { params: { identity: 'w-strict' }, input: { machine, selectors } })

  await assert.rejects(place('m-loose', ['unix:uid:0']), refusedAs('invalid-input'))
  await here.identity('machine', 'm-strict', { tier: 1 })
  for (const bad of [
    'unix:uid:*',
    'unix:path:relative',
    'unix:path:/usr/../bin/x',
    'anything',
    'unix:user:',
    'k8s:pod-uid:1',
  ]) {
    await assert.rejects(place('m-strict', [bad]), refusedAs('invalid-input'), bad)
  }
  await assert.rejects(place('m-strict', []), refusedAs('invalid-input'))
  await assert.rejects(place('w-strict', ['unix:uid:0']), refusedAs('invalid-input'))
  assert.equal((await place('m-strict', ['unix:uid:0', 'unix:path:/usr/sbin/db'])).machine, 'm-strict')
})

/** A host with a key that OpenSSH made, pinned by a target. */
async function host(t: TestContext, name: string, type = 'ed25519') {
  const folder = mkdtempSync(pathOf(tmpdir(), 'reeve-host-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const keyFile = pathOf(folder, 'key')
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', keyFile])
  const hostKey = readFileSync(`${keyFile}.pub`, 'utf8').trim()
  const settings = { host: '127.0.0.1', hostKeys: [hostKey] }
  await here.ada.ask(registerTarget, {
    input: { name, protocol: 'ssh', environment: 'test', ownerTeam: 'shop', settings },
  })
  const sign = (text: string, namespace = HOST_KEY_NAMESPACE) => {
    writeFileSync(pathOf(folder, 'text'), text)
    rmSync(pathOf(folder, 'text.sig'), { force: true })
    execFileSync('ssh-keygen', ['-Y', 'sign', '-q', '-f', keyFile, '-n', namespace, pathOf(folder, 'text')])
    return readFileSync(pathOf(folder, 'text.sig'), 'utf8')
  }
  return { hostKey, sign, settings }
}

for (const type of ['ed25519', 'ecdsa', 'rsa']) {
  test(`a machine joins by its ${type} host key, as OpenSSH signs with it, and again at each renewal`, async (t) => {
    const name = `m-${type}`
    await here.identity('machine', name)
    const { hostKey, sign } = await host(t, `host-${type}`, type)
    const invited = await here.ada.ask(inviteMachine, { params: { identity: name }, input: { target: `host-${type}` } })
    assert.equal(invited.secret, null)
    const shown = (purpose: 'join' | 'renew', pair: KeyPair) => {
      const at = new Date()
      const text = attestationText(purpose, name, { publicKey: pair.publicKey, bootId: BOOT, at })
      return { publicKey: pair.publicKey, at: at.toISOString(), hostKey, hostSignature: sign(text) }
    }
    const pair = await newKeyPair()

    const first = shown('join', pair)
    const { proof } = await joined(name, undefined, first, pair)

    await assert.rejects(joined(name, undefined, first, pair), refusedAs('machine-refused'), 'a replay')
    await assert.rejects(renewal(proof), refusedAs('machine-refused'), 'without the host key')
    const next = await newKeyPair()
    await renewal(proof, shown('renew', next))
    await assert.rejects(
      renewal(proof, shown('join', await newKeyPair())),
      refusedAs('machine-refused'),
      'another purpose',
    )
  })
}

test('attack: a host key that is not pinned, a signature for something else, or an old one admits nobody', async (t) => {
  await here.identity('machine', 'm-host')
  const real = await host(t, 'host-real')
  const fake = await host(t, 'host-fake')
  await here.ada.ask(inviteMachine, { params: { identity: 'm-host' }, input: { target: 'host-real' } })
  const pair = await newKeyPair()
  const shown = (by: typeof real, at: Date, more: { name?: string; namespace?: string; publicKey?: string } = {}) => {
    const text = attestationText('join', more.name ?? 'm-host', {
      publicKey: more.publicKey ?? pair.publicKey,
      bootId: BOOT,
      at,
    })
    const hostSignature = by.sign(text, more.namespace)
    return { at: at.toISOString(), hostKey: by.hostKey, hostSignature }
  }
  const thief = await newKeyPair()
  const tries = {
    'another host': shown(fake, new Date()),
    'the pinned key over a signature of another': { ...shown(fake, new Date()), hostKey: real.hostKey },
    'long ago': shown(real, new Date(Date.now() - 600_000)),
    'another machine': shown(real, new Date(), { name: 'm-else' }),
    'another namespace': shown(real, new Date(), { namespace: 'git' }),
    'another key': shown(real, new Date(), { publicKey: thief.publicKey }),
  }

  for (const [what, input] of Object.entries(tries)) {
    await assert.rejects(joined('m-host', undefined, input, pair), refusedAs('machine-refused'), what)
  }
  await joined('m-host', undefined, shown(real, new Date()), pair)
})

test('a host key that its target pins no more ends at the next renewal; an evicted one does not join again', async (t) => {
  await here.identity('machine', 'm-pin')
  const { hostKey, sign, settings } = await host(t, 'host-pin')
  const other = await host(t, 'host-pin-2')
  await here.ada.ask(inviteMachine, { params: { identity: 'm-pin' }, input: { target: 'host-pin' } })
  const shown = (purpose: 'join' | 'renew', pair: KeyPair) => {
    const at = new Date()
    const text = attestationText(purpose, 'm-pin', { publicKey: pair.publicKey, bootId: BOOT, at })
    return { publicKey: pair.publicKey, at: at.toISOString(), hostKey, hostSignature: sign(text) }
  }
  const pair = await newKeyPair()
  const { proof } = await joined('m-pin', undefined, shown('join', pair), pair)

  await here.ada.ask(updateTarget, {
    params: { target: 'host-pin' },
    input: { settings: { ...settings, hostKeys: [other.hostKey] } },
  })
  await assert.rejects(renewal(proof, shown('renew', await newKeyPair())), refusedAs('machine-refused'))
  await here.ada.ask(updateTarget, { params: { target: 'host-pin' }, input: { settings } })
  await here.ada.ask(evictMachine, { params: { identity: 'm-pin' }, input: { reason: 'gone' } })
  const again = await newKeyPair()
  await assert.rejects(joined('m-pin', undefined, shown('join', again), again), refusedAs('machine-refused'))
})
