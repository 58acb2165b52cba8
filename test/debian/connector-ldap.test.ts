import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { ldapConnector } from '../../src/connectors/ldap/connector.ts'
import { openSession } from '../../src/connectors/ldap/session.ts'
import { LdapSourceSettings } from '../../src/connectors/ldap/settings.ts'
import { saysEachRight, type Right } from '../support/each-right.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { startSlapd, type Slapd } from '../support/slapd.ts'

const SECRET = 'correct-horse-battery-staple-4716'
const BASE = 'dc=shop,dc=example'
const READER = `cn=reader,ou=control,${BASE}`
const ROOT = `cn=root,${BASE}`
const person = (uid: string, more = '') =>
  `dn: uid=${uid},ou=people,${BASE}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\nuserPassword: ${SECRET}\n${more}\n`
const LDIF = `
dn: ${BASE}
objectClass: dcObject
objectClass: organization
dc: shop
o: shop

${['people', 'groups', 'control'].map((ou) => `dn: ou=${ou},${BASE}\nobjectClass: organizationalUnit\nou: ${ou}\n`).join('\n')}
dn: ${READER}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: reader
userPassword: ${SECRET}

dn: cn=readers,ou=control,${BASE}
objectClass: groupOfNames
cn: readers
member: ${READER}
member: ${ROOT}

${person('ann', 'mail: ann@shop.example\nmanager: uid=bob,ou=people,' + BASE + '\n')}
${person('bob')}
dn: cn=billing,ou=people,${BASE}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: billing
description: team-payments
userPassword: ${SECRET}

dn: cn=admins,ou=groups,${BASE}
objectClass: groupOfNames
cn: admins
member: UID=ann, ou=people, ${BASE}
member: cn=inner,ou=groups,${BASE}

dn: cn=inner,ou=groups,${BASE}
objectClass: groupOfNames
cn: inner
member: cn=billing,ou=people,${BASE}
`

/** Debian's slapd with what is above in it, and so many people more. */
function slapd(t: Pick<TestContext, 'after'>, users = 0) {
  const more = Array.from({ length: users }, (_, n) => person(`worker-${n}`)).join('\n')
  const readers = `cn=readers,ou=control,${BASE}`
  return startSlapd(t, {
    base: BASE,
    root: { user: ROOT, password: SECRET },
    ldif: `${LDIF}\n${more}`,
    access: [
      'to attrs=userPassword by anonymous auth by * none',
      `to dn.base="${BASE}" by users read`,
      `to * by group.exact="${readers}" read by anonymous auth by * none`,
    ],
  })
}

async function bed(t: Pick<TestContext, 'after'>, users = 0): Promise<Bed & { server: Slapd }> {
  const server = await slapd(t, users)
  return {
    server,
    connector: ldapConnector,
    settings: {
      url: `ldap://localhost:${server.port}`,
      authorities: server.authorities,
      base: BASE,
      under: [`ou=people,${BASE}`, `ou=groups,${BASE}`],
    },
    credential: { user: READER, password: SECRET },
    whole: ['directory', 'accounts', 'groups'],
    secrets: [SECRET],
    async lose() {
      server.modify(`dn: cn=billing,ou=people,${BASE}\nchangetype: delete\n`)
      return 'accounts'
    },
    async deny() {
      server.modify(`dn: cn=readers,ou=control,${BASE}\nchangetype: modify\ndelete: member\nmember: ${READER}\n`)
      return ['accounts', 'groups']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', '\u202egnp', 'a,b+c"d\\e', 'x'.repeat(400)]
      for (const [at, name] of names.entries()) {
        const uid = Buffer.from(`hostile ${name}`).toString('base64')
        server.modify(
          `dn: cn=h${at},ou=people,${BASE}\nchangetype: add\nobjectClass: inetOrgPerson\ncn: h${at}\nsn: h\nuid:: ${uid}\n`,
        )
      }
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over slapd: ${story}`, async (t) => run(t, await bed(t)))
}

test('a directory is told by pages: accounts, services, nested groups however names are written, last binds', async (t) => {
  const { connector, settings, credential } = await bed(t, 1_200)
  const i = await inventoryWorld(t)
  const { scopes } = await i.collect(await i.source(connector, settings, credential && { credential }))
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}`,
    )

  assert.deepEqual(
    scopes.map(({ status }) => status),
    ['complete', 'complete', 'complete'],
  )
  assert.equal(await i.count('observed_principal'), 1_200 + 3 + 2)
  assert.equal(await i.count('observed_grant', `privilege = 'MEMBER'`), 3)
  assert.equal(await i.count('observed_grant', `native_id like '%/entry/%'`), 0)
  has('observed_principal', 'billing', 'service', 'team-payments')
  has('observed_principal', 'ann', 'account', 'ann@shop.example')
  has('observed_resource', BASE, 'directory')
})

test('attack: without the right authority nothing is sent, and without TLS no other machine is asked', async (t) => {
  const { connector, settings, credential, server } = await bed(t)
  const i = await inventoryWorld(t)
  const other = { ...Object(settings), authorities: (await slapd(t)).authorities }
  const { scopes, outcome } = await i.collect(await i.source(connector, other, credential && { credential }))
  const over = { ...Object(settings), url: `ldaps://localhost:${server.secure}` }

  assert.notEqual(outcome, 'complete')
  assert.ok(scopes.every(({ status }) => status !== 'complete'))
  assert.throws(() => connector.settings.parse({ url: 'ldap://dir.example', plaintext: true }), /only this machine/)
  assert.equal((await i.collect(await i.source(connector, over, credential && { credential }))).outcome, 'complete')
})

/** What only who is in the group of that name may: a right that a line of LDIF takes and gives back. */
const GATED = {
  expiry: 'to attrs=shadowExpire',
  member: 'to attrs=member',
  'member-uid': 'to attrs=memberUid',
  'other-names': 'to attrs=uniqueMember',
  apart: `to dn.subtree="ou=apart,ou=people,${BASE}"`,
  within: `to dn.children="ou=within,ou=people,${BASE}"`,
  one: `to dn.exact="uid=ann,ou=people,${BASE}"`,
  people: `to dn.subtree="ou=people,${BASE}"`,
}
const gate = (name: string) => `cn=${name},ou=control,${BASE}`
const gated = (name: string) =>
  `dn: ${gate(name)}\nobjectClass: groupOfNames\ncn: ${name}\nmember: ${READER}\nmember: ${ROOT}\n`
const unix = (uid: string, at: string, more = '') =>
  `dn: uid=${uid},${at}\nobjectClass: inetOrgPerson\nobjectClass: shadowAccount\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\n${more}`
const DARK = [
  ...Object.keys(GATED).map(gated),
  `dn: ${gate('capped')}\nobjectClass: groupOfNames\ncn: capped\nmember: ${ROOT}\n`,
  unix('left', `ou=people,${BASE}`, 'shadowExpire: 1\n'),
  unix('stays', `ou=people,${BASE}`),
  ...['apart', 'within'].flatMap((ou) => [
    `dn: ou=${ou},ou=people,${BASE}\nobjectClass: organizationalUnit\nou: ${ou}\n`,
    person(`in-${ou}`),
  ]),
  `dn: cn=unix,ou=groups,${BASE}\nobjectClass: posixGroup\ncn: unix\ngidNumber: 5000\nmemberUid: ann\n`,
  `dn: cn=other,ou=groups,${BASE}\nobjectClass: groupOfUniqueNames\ncn: other\nuniqueMember: uid=bob,ou=people,${BASE}\n`,
].map((entry) => entry.replace(/^(dn: uid=in-(\w+)),/, '$1,ou=$2,'))

const LIMITED = 'the server gives no more to this login: its limit of size or time was met'

test('what a server hides is told from what is not there: each attribute, what is below an entry, a limit; one entry alone is not', async (t) => {
  const readers = `cn=readers,ou=control,${BASE}`
  const server = await startSlapd(t, {
    base: BASE,
    root: { user: ROOT, password: SECRET },
    ldif: [LDIF, ...DARK].join('\n'),
    access: [
      'to attrs=userPassword by anonymous auth by * none',
      `to dn.base="${BASE}" by users read`,
      ...Object.entries(GATED).map(([name, what]) => `${what} by group.exact="${gate(name)}" read by * none`),
      `to * by group.exact="${readers}" read by anonymous auth by * none`,
    ],
    limits: [`group/groupOfNames/member="${gate('capped')}" size.soft=2 size.hard=2 size.prtotal=2`],
  })
  const settings = {
    url: `ldap://localhost:${server.port}`,
    authorities: server.authorities,
    base: BASE,
    under: [`ou=people,${BASE}`, `ou=groups,${BASE}`],
  }
  const reader = { connector: ldapConnector, settings, credential: { user: READER, password: SECRET } }
  const change = (name: string, how: 'add' | 'delete') =>
    server.modify(`dn: ${gate(name)}\nchangetype: modify\n${how}: member\nmember: ${READER}\n`)
  const i = await inventoryWorld(t)
  const id = await i.source(ldapConnector, settings, { credential: reader.credential })
  await i.collect(id)
  const wrong = { user: READER, password: `not ${SECRET}` }
  const entering = openSession(LdapSourceSettings.parse(settings), wrong, new AbortController().signal)
  await assert.rejects(entering, /^Unreadable: the server does not accept the login$/)
  const missed = async () => {
    const tables = ['observed_principal', 'observed_credential', 'observed_grant']
    const counts = await Promise.all(tables.map((table) => i.count(table, 'missed_at is not null')))
    return counts.reduce((sum, count) => sum + count, 0)
  }
  const below = (dn: string) => `to read ${dn} and what is below it`
  const says: Record<keyof typeof GATED, Right['says']> = {
    expiry: { accounts: ['partial', 'to read shadowExpire'] },
    member: { groups: ['partial', 'to read member'] },
    'member-uid': { groups: ['partial', 'to read memberUid'] },
    'other-names': { groups: ['partial', 'to read uniqueMember'] },
    // With its own entry a part of the tree is as if it had never been, unless it is named: what is above it still has others.
    apart: {},
    within: {
      accounts: ['partial', below(`ou=within,ou=people,${BASE}`)],
      groups: ['partial', below(`ou=within,ou=people,${BASE}`)],
    },
    one: {},
    people: {
      accounts: ['denied', below(`ou=people,${BASE}`)],
      groups: ['denied', below(`ou=people,${BASE}`)],
    },
  }
  const rights = Object.keys(GATED).map((name) => ({
    name,
    take: async () => change(name, 'delete'),
    give: async () => change(name, 'add'),
    says: Object.entries(says).find(([each]) => each === name)?.[1] ?? {},
  }))
  const { read } = await saysEachRight(reader, rights)
  assert.deepEqual(read, { directory: ['complete'], accounts: ['complete'], groups: ['complete'] })

  const states = async () => {
    const { rows } = await sql<{ name: string; state: string | null; unknown: string | null }>`
      select name, state, unknown ->> 'state' as unknown from observed_principal where name in ('left', 'stays') order by 1`.execute(
      i.w.db,
    )
    return rows.map(({ name, state, unknown }) => `${name} ${state ?? unknown}`)
  }
  assert.deepEqual(await states(), ['left expired', 'stays active'])
  for (const name of ['expiry', 'member', 'member-uid', 'within'] as const) change(name, 'delete')
  for (let n = 0; n < 3; n += 1) await i.collect(id)
  assert.deepEqual(await states(), ['left denied', 'stays denied'])
  assert.equal(await missed(), 0)
  for (const name of ['expiry', 'member', 'member-uid', 'within'] as const) change(name, 'add')
  assert.equal((await i.collect(id)).outcome, 'complete')
  assert.deepEqual([await states(), await missed()], [['left expired', 'stays active'], 0])

  change('capped', 'add')
  const capped = await i.collect(id)
  assert.deepEqual(
    capped.scopes.map(({ scope, status, missing }) => [scope, status, missing[0]?.why ?? '']),
    [
      ['directory', 'complete', ''],
      ['accounts', 'partial', LIMITED],
      ['groups', 'partial', LIMITED],
    ],
  )
  assert.equal(await missed(), 0)
})
