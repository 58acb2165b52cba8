import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ldapLoginRotator } from '../../src/credentials/ldap/rotate.ts'
import { ldapWriter } from '../../src/credentials/ldap/writer.ts'
import { ROTATION_FAULT_POINTS } from '../../src/credentials/rotation/fault-points.ts'
import { LeaseBusy } from '../../src/credentials/writer.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { newId, systemRandom } from '../../src/kernel/random.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { freshDatabase, type TestDatabase } from '../support/database.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { ORDINARY_POINTS, standing } from '../support/rotation-place.ts'
import { startSlapd, type Slapd } from '../support/slapd.ts'

// Debian's slapd and its own clients: two entries of the same groups take turns, and one is cut over.
const cleaning = cleaningOfFile()
const signal = new AbortController().signal
const BASE = 'dc=shop,dc=example'
const SERVICES = `ou=services,${BASE}`
const GROUPS = `ou=groups,${BASE}`
const ROOT = { user: `cn=root,${BASE}`, password: 'root-of-the-test' }
const OWNER = { user: `cn=reeve,${BASE}`, password: 'provisioner-of-the-test' }
const STANDING = 'standing-password'
const LDIF = `
dn: ${BASE}
objectClass: dcObject
objectClass: organization
dc: shop
o: shop

${['services', 'groups'].map((ou) => `dn: ou=${ou},${BASE}\nobjectClass: organizationalUnit\nou: ${ou}\n`).join('\n')}
dn: ${OWNER.user}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: reeve
userPassword: ${OWNER.password}

dn: cn=readers,${GROUPS}
objectClass: groupOfNames
cn: readers
member: ${ROOT.user}

dn: cn=others,${GROUPS}
objectClass: groupOfUniqueNames
cn: others
uniqueMember: ${ROOT.user}
`
let server: Slapd
let home: TestDatabase

before(async () => {
  const may = `by dn.exact="${OWNER.user}"`
  server = await startSlapd(cleaning, {
    base: BASE,
    root: ROOT,
    ldif: LDIF,
    access: [
      // It sets passwords and reads none.
      `to attrs=userPassword ${may} =w by self =xw by anonymous auth by * none`,
      `to dn.subtree="${SERVICES}" ${may} write by * none`,
      `to dn.subtree="${GROUPS}" ${may} write by * none`,
      `to dn.exact="${OWNER.user}" by self write by * none`,
      'to * by * none',
    ],
  })
  home = await freshDatabase(cleaning)
})
after(() => cleaning.now())

let names = 0
const dn = (name: string) => `uid=${name},${SERVICES}`
const settings = () => ({
  url: `ldap://localhost:${server.port}`,
  ca: server.authorities,
  accountsUnder: SERVICES,
  groupsUnder: GROUPS,
  naming: 'uid',
})
const isIn = (name: string, password: string) =>
  assert.equal(server.whoami(dn(name), password), `dn:${dn(name)}`, `${name} is refused`)
const isRefused = (name: string, password: string) =>
  assert.throws(() => server.whoami(dn(name), password), /Invalid credentials \(49\)/)
const entry = (name: string) =>
  `dn: ${dn(name)}\nchangetype: add\nobjectClass: account\nobjectClass: simpleSecurityObject\nuid: ${name}\nhost: app.example\ndescription: billing\nuserPassword: ${STANDING}\n`
const joined = (group: string, attribute: string, name: string) =>
  server.modify(`dn: cn=${group},${GROUPS}\nchangetype: modify\nadd: ${attribute}\n${attribute}: ${dn(name)}\n`)

async function turning({ strategy = 'alternating', inGroup = true } = {}) {
  const name = `turn-${(names += 1)}`
  server.modify(entry(name))
  if (inGroup) joined('readers', 'member', name)
  const account = { name, password: STANDING }
  const here = await standing(home, { protocol: 'ldap', settings: settings(), provisioner: OWNER, account })
  const other = `turn_${names}_b`
  if (strategy === 'alternating') await here.configure({ strategy, alternate: other })
  return { ...here, other }
}

test('two entries take turns: the other one is of the same classes and groups, and the old secret is dead', async () => {
  const { start, settle, read, kept, name, other } = await turning()
  const id = await start()

  await settle()

  const dead = await read(id)
  assert.deepEqual([dead.state, dead.lastError, dead.nextPrincipal], ['dead', null, other])
  assert.deepEqual(Object(dead.evidence).oldSecret, { refusedWith: '49' })
  // No directory ends the connections of others.
  assert.equal(Object(dead.evidence).openedWithTheOld, 'goes on')
  const now = await kept()
  assert.equal(now.user, other)
  isIn(other, now.password)
  isRefused(name, STANDING)
  const shown = server.show(dn(other))
  assert.match(shown, /host: app\.example/)
  assert.match(shown, new RegExp(`description: \\[reeve rotation ${id} \\d+\\]`))
  assert.ok(!shown.includes(Buffer.from(now.password).toString('base64')), 'the password stands there in clear')
  assert.match(server.show(`cn=readers,${GROUPS}`), new RegExp(`member: ${dn(other)}`))

  const back = await start()
  await settle()

  assert.deepEqual([(await read(back)).state, (await kept()).user], ['dead', name])
  isIn(name, (await kept()).password)
  isRefused(other, now.password)
  // What the entry said of itself is there still, and one mark.
  assert.equal(server.show(dn(name)).match(/^description: /gm)?.length, 2)
})

test('nobody can be seen at a directory: the old one lives until a person says who took the new one', async () => {
  const { start, settle, read, kept, declare, withdraw, clock, name, other } = await turning()
  await declare('billing', '192.0.2.1')
  const id = await start()
  await settle()
  assert.match((await read(id)).waitsFor ?? '', /withdraw billing/)
  isIn(name, STANDING)
  isIn(other, (await kept()).password)

  await withdraw('billing')
  clock.ahead(400)
  await settle()

  assert.equal((await read(id)).state, 'dead')
  isRefused(name, STANDING)
})

for (const point of ORDINARY_POINTS(ROTATION_FAULT_POINTS)) {
  test(`killed at ${point}: one that works is known at any time, and another process brings it to its end`, async () => {
    const { start, settle, read, kept, dieAt, clock, name, other } = await turning()
    const id = await start()

    assert.equal(await dieAt(point), 'SIGKILL')

    const then = await kept()
    isIn(then.user, then.password)
    clock.ahead(90)
    await settle()
    const { state, lastError } = await read(id)
    assert.deepEqual([state, lastError], ['dead', null])
    isIn(other, (await kept()).password)
    isRefused(name, STANDING)
  })
}

for (const point of ['rotation.disabled-upstream', 'rotation.undone-upstream'] as const) {
  test(`backed out of, killed at ${point}: the old one works, and the new one is proven dead`, async () => {
    const { start, settle, read, kept, dieAt, declare, abort, clock, name, other } = await turning()
    const isEarly = point === 'rotation.undone-upstream'
    if (isEarly) await declare('billing', '192.0.2.1')
    const id = await start()
    if (isEarly) await settle()
    else assert.equal(await dieAt(point), 'SIGKILL')
    const given = await kept()
    assert.equal(given.user, other)
    await abort(id)
    if (isEarly) assert.equal(await dieAt(point, 90), 'SIGKILL')
    clock.ahead(400)

    await settle()

    const { state, lastError } = await read(id)
    assert.deepEqual([state, lastError], ['aborted', null])
    isIn(name, STANDING)
    isRefused(other, given.password)
  })
}

test('attack: without a group, with a twin that is in more, or with a later mark nothing is changed', async () => {
  const alone = await turning({ inGroup: false })
  const wider = await turning()
  server.modify(entry(wider.other))
  joined('others', 'uniqueMember', wider.other)
  for (const [each, why] of [
    [alone, /is in no group/],
    [wider, /is in groups that .* is not in: cn=others/],
  ] as const) {
    const id = await each.start()
    await each.settle()
    assert.equal((await each.read(id)).state, 'planned')
    assert.match((await each.read(id)).lastError ?? '', why)
    isIn(each.name, STANDING)
  }

  const restored = await turning()
  const id = await restored.start()
  assert.equal(await restored.dieAt('rotation.adopted'), 'SIGKILL')
  const later = '[reeve rotation ffffffff-ffff-7fff-bfff-ffffffffffff 1]'
  server.modify(
    `dn: ${dn(restored.name)}\nchangetype: modify\nadd: description\ndescription: ${later}\n-\nreplace: userPassword\nuserPassword: of-a-later-rotation\n`,
  )
  restored.clock.ahead(90)
  await restored.settle()
  const fenced = await restored.read(id)
  assert.deepEqual([fenced.state, fenced.escalation], ['superseded', 'security'])
  isIn(restored.name, 'of-a-later-rotation')
})

test('attack: an act that was overtaken while it waited changes nothing, not even in the moment between', async () => {
  const { name } = await turning()
  const place = { target: 'shop', settings: settings(), databases: [] }
  const actors = [{ user: OWNER.user, secret: new Secret(OWNER.password) }]
  const mark = newId(systemClock, systemRandom)
  const turns = ldapLoginRotator.turns
  assert.ok(turns)
  const allow = (isAllowed: boolean, isWanted: () => Promise<boolean>) =>
    turns.allow(place, { user: name, actors, mark, isAllowed, secret: new Secret(STANDING), isWanted }, signal)

  const overtaken = allow(false, async () => {
    // It was wanted when it asked; while it waits, somebody backs out and opens the login again.
    await allow(true, async () => true)
    return true
  })

  await assert.rejects(overtaken, LeaseBusy)
  isIn(name, STANDING)
})

test('a login that was lent is open until a rotation proves it dead', async () => {
  const { start, settle, read, name } = await turning()
  const login = { user: name, secret: new Secret(STANDING) }
  const provisioner = { user: OWNER.user, secret: new Secret(OWNER.password) }
  const site = { target: 'shop', settings: settings(), provisioner, account: login }
  const validUntil = new Date(Date.now() + 600_000)
  const terms = { account: name, roles: [], databases: [], validUntil, connections: 1 }
  const none = { id: newId(systemClock, systemRandom), principal: name, details: undefined, issuedAt: null, terms }
  const making = { isWanted: async () => true, keep: async () => true }
  const { secret, details } = await ldapWriter.apply(site, { ...none, secret: new Secret('') }, making, signal)
  assert.ok(secret)
  assert.equal(Object(details).about.dn, dn(name))
  const lent = { ...none, secret }
  assert.equal((await ldapWriter.verify(site, lent, signal)).kind, 'alive')

  const id = await start()
  await settle()

  assert.equal((await read(id)).state, 'dead')
  const proof = await ldapWriter.verify(site, lent, signal)
  assert.deepEqual(proof, { kind: 'dead', evidence: { lent: true, shownToHolder: true, login: '49' } })
})

test('attack: names that would be another entry reach none', async () => {
  const hostile = [
    OWNER.user,
    `x,cn=reeve`,
    `cn=root,${BASE}`,
    'a)(uid=*',
    '*',
    'a\\2c b',
    'a#b+c=d',
    ' lead',
    'trail ',
  ]
  for (const name of hostile) {
    const account = { name, password: STANDING }
    const at = { protocol: 'ldap', settings: settings(), provisioner: { user: `cn=x,${OWNER.user}`, password: 'y' } }
    const here = await standing(home, { ...at, account })
    const id = await here.start()
    await here.settle()
    assert.equal((await here.read(id)).state, 'planned', name)
    assert.notEqual((await here.read(id)).lastError, null)
  }
  assert.equal(server.whoami(OWNER.user, OWNER.password), `dn:${OWNER.user}`)
  assert.equal(server.whoami(ROOT.user, ROOT.password), `dn:${ROOT.user}`)
})

test('an entry is cut over, by the provisioner or by itself, and so is the provisioner', async () => {
  const { start, settle, read, kept, name } = await turning({ strategy: 'cut-over' })
  const id = await start({ endSessions: true })
  await settle()
  assert.deepEqual([(await read(id)).state, (await read(id)).lastError], ['dead', null])
  assert.equal(Object((await read(id)).evidence).openedWithTheOld, 'goes on')
  const first = await kept()
  isIn(name, first.password)
  isRefused(name, STANDING)

  const account = { name, password: first.password }
  const provisioner = { user: `cn=nobody,${BASE}`, password: 'x' }
  const itself = await standing(home, { protocol: 'ldap', settings: settings(), provisioner, account })
  const byItself = await itself.start()
  await itself.settle()
  assert.deepEqual([(await itself.read(byItself)).state, (await itself.read(byItself)).lastError], ['dead', null])
  isIn(name, (await itself.kept()).password)

  const own = await start({ provisioner: true })
  await settle()
  assert.deepEqual([(await read(own)).state, (await read(own)).lastError], ['dead', null])
  const now = await kept('provisioner')
  assert.equal(server.whoami(OWNER.user, now.password), `dn:${OWNER.user}`)
  assert.throws(() => server.whoami(OWNER.user, OWNER.password), /49/)
})
