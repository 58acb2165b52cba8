import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { ldapConnector } from '../../src/connectors/ldap/connector.ts'
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
