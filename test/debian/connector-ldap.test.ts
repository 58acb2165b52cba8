import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { ldapConnector } from '../../src/connectors/ldap/connector.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { freePort } from '../support/free-port.ts'

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

/** Debian's slapd with TLS, an accesslog of nobody, and what is above in it. */
async function slapd(t: Pick<TestContext, 'after'>, users = 0) {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-slapd-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const at = (name: string) => join(folder, name)
  mkdirSync(at('db'))
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      ...subject,
      '-keyout',
      at('key'),
      '-out',
      at('crt'),
    ],
    { stdio: 'ignore' },
  )
  const conf = `
${['core', 'cosine', 'inetorgperson', 'nis'].map((name) => `include /etc/ldap/schema/${name}.schema`).join('\n')}
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile ${at('crt')}
TLSCertificateKeyFile ${at('key')}
security simple_bind=128
sizelimit size.soft=unlimited size.hard=unlimited size.pr=unlimited
database mdb
maxsize 104857600
suffix "${BASE}"
rootdn "${ROOT}"
rootpw ${SECRET}
directory ${at('db')}
lastbind on
access to attrs=userPassword by anonymous auth by * none
access to dn.base="${BASE}" by users read
access to * by group.exact="cn=readers,ou=control,${BASE}" read by anonymous auth by * none
`
  writeFileSync(at('conf'), conf)
  const more = Array.from({ length: users }, (_, n) => person(`worker-${n}`)).join('\n')
  execFileSync('/usr/sbin/slapadd', ['-f', at('conf')], {
    input: `${LDIF}\n${more}`,
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const [port, secure] = [await freePort(), await freePort()]
  const listen = `ldap://127.0.0.1:${port} ldaps://127.0.0.1:${secure}`
  const child = spawn('/usr/sbin/slapd', ['-f', at('conf'), '-h', listen, '-d', '0'], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  for (const until = performance.now() + 30_000; ; await pause(50)) {
    assert.ok(child.exitCode === null && performance.now() < until, 'slapd did not start')
    const line = connect(secure, '127.0.0.1')
    const isUp = await Promise.race([
      once(line, 'connect').then(() => true),
      once(line, 'error').then(() => false),
    ]).catch(() => false)
    line.destroy()
    if (isUp) break
  }
  const modify = (ldif: string) =>
    execFileSync('ldapmodify', ['-x', '-H', `ldap://127.0.0.1:${port}`, '-ZZ', '-D', ROOT, '-w', SECRET], {
      input: ldif,
      stdio: ['pipe', 'ignore', 'inherit'],
      env: { ...process.env, LDAPTLS_CACERT: at('crt') },
    })
  return { port, secure, authorities: readFileSync(at('crt'), 'utf8'), modify }
}

async function bed(
  t: Pick<TestContext, 'after'>,
  users = 0,
): Promise<Bed & { server: Awaited<ReturnType<typeof slapd>> }> {
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
