import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { ldapConnector } from '../../src/connectors/ldap/connector.ts'
import { inventoryWorld, type InventoryWorld } from '../support/inventory-world.ts'
import { PASSWORD, startSamba, type Samba } from './peers/samba.ts'

const SECRET = 'Battery-Staple-4719'
const ends: (() => void)[] = []
let dc: Samba
let beds = 0

before(async () => {
  dc = await startSamba({ after: (end: () => void) => void ends.push(end) })
  dc.modify(`dn: ${dc.base}\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 50\n`)
})
after(() => {
  for (const end of ends.toReversed()) end()
})

/** [MS-ADTS] §2.2.16. */
const NORMAL = 0x200
const FLAGS = {
  disabled: 0x2,
  noPassword: 0x20,
  reversible: 0x80,
  delegatesAnywhere: 0x80000,
  noPreauth: 0x400000,
  anyProtocol: 0x1000000,
} as const

type World = Bed & { readonly ou: string; readonly at: (name: string) => string; readonly settings: object }

const base64 = (bytes: Buffer | string) => Buffer.from(bytes).toString('base64')
const password = base64(Buffer.from(`"${SECRET}"`, 'utf16le'))

function bed(): World {
  beds += 1
  const ou = `OU=bed${beds},${dc.base}`
  const at = (name: string) => `CN=${name}${beds},${ou}`
  const account = (name: string, flags = 0, more = '') =>
    `dn: ${at(name)}\nchangetype: add\nobjectClass: user\nsAMAccountName: ${name}${beds}\nuserPrincipalName: ${name}${beds}@shop.example\nunicodePwd:: ${password}\nuserAccountControl: ${NORMAL + flags}\n${more}\n`
  const group = (name: string, ...members: string[]) =>
    `dn: ${at(name)}\nchangetype: add\nobjectClass: group\nsAMAccountName: ${name}${beds}\n${members.map((each) => `member: ${at(each)}\n`).join('')}\n`
  dc.modify(
    [
      `dn: ${ou}\nchangetype: add\nobjectClass: organizationalUnit\n\n`,
      account('reader'),
      account('ann', 0, `mail: ann@shop.example\ndescription: team-payments\n`),
      account('web', FLAGS.delegatesAnywhere, `servicePrincipalName: HTTP/web${beds}.shop.example\n`),
      account(
        'app',
        FLAGS.anyProtocol,
        `servicePrincipalName: HTTP/app${beds}.shop.example\nmsDS-AllowedToDelegateTo: cifs/files${beds}.shop.example\n`,
      ),
      account('old', FLAGS.noPreauth + FLAGS.reversible),
      account('off', FLAGS.disabled),
      `dn: ${at('files')}\nchangetype: add\nobjectClass: computer\nsAMAccountName: files${beds}$\nuserAccountControl: 4096\nservicePrincipalName: cifs/files${beds}.shop.example\n\n`,
      group('inner', 'web'),
      group('outer', 'inner', 'ann'),
      group('round', 'outer'),
      // A circle.
      `dn: ${at('inner')}\nchangetype: modify\nadd: member\nmember: ${at('round')}\n\n`,
    ].join(''),
  )
  return {
    ou,
    at,
    connector: ldapConnector,
    settings: { url: `ldaps://${dc.address}`, authorities: dc.authorities, base: dc.base, under: [ou] },
    credential: { user: `reader${beds}@shop.example`, password: SECRET },
    whole: ['directory', 'accounts', 'groups'],
    secrets: [SECRET, PASSWORD],
    async lose() {
      dc.modify(`dn: ${at('off')}\nchangetype: delete\n`)
      return 'accounts'
    },
    async deny() {
      dc.access(ou, `(D;CI;RPLCLORC;;;${sidOf(at('reader'))})`)
      return ['accounts', 'groups']
    },
    async plant() {
      const names = ['@cmd(calc)', '\u202egnp', '(objectClass~#)', 'x'.repeat(200)]
      for (const [n, name] of names.entries())
        dc.modify(
          `dn: CN=h${n},${ou}\nchangetype: add\nobjectClass: group\nsAMAccountName:: ${base64(`hostile ${beds} ${name}`)}\ndescription:: ${base64('\u001b[31mred')}\n`,
        )
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

/** Its SID in words, from the bytes that the server has. */
function sidOf(dn: string): string {
  const sid = dc.bytesOf(dn, 'objectSid')
  const parts = Array.from({ length: sid[1] ?? 0 }, (_, n) => sid.readUInt32LE(8 + 4 * n))
  return ['S', sid[0], sid.readUIntBE(2, 6), ...parts].join('-')
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over Samba: ${story}`, async (t) => run(t, bed()))
}

async function read(t: Parameters<typeof inventoryWorld>[0], b: World): Promise<{ i: InventoryWorld; id: string }> {
  const i = await inventoryWorld(t)
  const id = await i.source(b.connector, b.settings, b.credential && { credential: b.credential })
  const { outcome, scopes } = await i.collect(id)
  assert.equal(outcome, 'complete', JSON.stringify(scopes))
  return { i, id }
}

async function rightsOf({ w }: InventoryWorld): Promise<string[]> {
  const { rows } = await sql<{ right: string }>`
    select p.name || ' ' || g.privilege || ' ' || coalesce(q.name, r.name, 'elsewhere') as "right"
      from observed_grant g join observed_principal p on p.id = g.principal_id
      left join observed_principal q on q.id = g.on_id left join observed_resource r on r.id = g.on_id
     order by 1`.execute(w.db)
  return rows.map(({ right }) => right.replaceAll(new RegExp(`(?<=[a-z])${beds}\\b`, 'g'), ''))
}

test('delegation is told in its three forms, flags as what they let happen, groups in groups, and groups that go round', async (t) => {
  const b = bed()
  const app = dc.bytesOf(b.at('app'), 'objectSid')
  // What Windows lets the owner of a computer write, this version of Samba lets nobody write but itself.
  dc.modifyWithin(
    `dn: ${b.at('files')}\nchangetype: modify\nadd: msDS-AllowedToActOnBehalfOfOtherIdentity\nmsDS-AllowedToActOnBehalfOfOtherIdentity:: ${base64(allowing(app))}\n\n`,
  )
  dc.modify(
    `dn: ${b.at('managed')}\nchangetype: add\nobjectClass: msDS-GroupManagedServiceAccount\nsAMAccountName: managed${beds}$\nmsDS-ManagedPasswordInterval: 30\nuserAccountControl: 4096\nmsDS-GroupMSAMembership:: ${base64(allowing(dc.bytesOf(b.at('files'), 'objectSid')))}\n\n`,
  )
  const { i } = await read(t, b)
  const rights = await rightsOf(i)
  const { rows } = await sql<{ name: string; type: string; state: string }>`
    select name, type, state from observed_principal where type <> 'group' order by name`.execute(i.w.db)

  for (const right of [
    `web UNCONSTRAINED DELEGATION ${dc.base}`,
    'app DELEGATE TO elsewhere',
    'app ACT FOR ANYBODY AT files$',
    'files$ READ MANAGED PASSWORD managed$',
    'web MEMBER inner',
    'inner MEMBER outer',
    'outer MEMBER round',
    'round MEMBER inner',
  ])
    assert.ok(rights.includes(right), `${right}\n${rights.join('\n')}`)
  const short = rows.map(({ name, type, state }) => `${name.replace(String(beds), '')} ${type} ${state}`)
  for (const each of [
    'ann account active',
    'off account disabled',
    'web service active',
    'files$ device active',
    'managed$ service active',
  ])
    assert.ok(short.includes(each), `${each}\n${short.join('\n')}`)
  assert.equal(
    await i.count('observed_credential', `name like 'old%' and strength = 'weak' and cardinality(strength_why) = 2`),
    1,
  )
  assert.equal(await i.count('observed_credential', `rotated_at is not null and name like 'ann%'`), 1)
})

/** [MS-DTYP] §2.4.6: a security descriptor that lets one in. */
function allowing(sid: Buffer): Buffer {
  const owner = Buffer.from('01020000000000052000000020020000', 'hex')
  const ace = Buffer.concat([Buffer.from([0, 0, 8 + sid.length, 0]), Buffer.from('ff010f00', 'hex'), sid])
  const acl = Buffer.concat([Buffer.from([2, 0, 8 + ace.length, 0, 1, 0, 0, 0]), ace])
  const head = Buffer.alloc(20)
  head.set([1, 0, 4, 0x80])
  head.writeUInt32LE(20, 4)
  head.writeUInt32LE(20 + owner.length, 16)
  return Buffer.concat([head, owner, acl])
}

test('both meanings of a last logon are told apart: this controller’s moves, everybody’s stands until it is old', async (t) => {
  const b = bed()
  const user = `ann${beds}@shop.example`
  // Samba notes the time of a login over the network where it puts back the count of wrong passwords.
  const logIn = () => {
    assert.throws(() => dc.logIn(user, 'wrong'))
    dc.logIn(user, SECRET)
  }
  logIn()
  const { i, id } = await read(t, b)
  const usesOf = async () => {
    const { rows } = await sql<{ privilege: string; at: string }>`
      select u.privilege, u.last_at::text as at from observed_usage u join observed_principal p on p.id = u.subject_id
       where p.name like 'ann%' order by 1`.execute(i.w.db)
    return rows
  }
  const first = await usesOf()
  logIn()
  await i.collect(id)
  const second = await usesOf()

  assert.deepEqual(
    first.map(({ privilege }) => privilege),
    ['last logon anywhere, up to 14 days late', 'last logon at this controller'],
  )
  assert.equal(second[0]?.at, first[0]?.at)
  assert.notEqual(second[1]?.at, first[1]?.at)
})

test('attack: entries that the server hides from the login are denied, and not taken for gone', async (t) => {
  const b = bed()
  const { i, id } = await read(t, b)
  const before = await i.count('observed_principal', 'missed_at is null')
  await b.deny?.()
  await i.collect(id)
  const { scopes } = await i.collect(id)

  assert.ok(before > 5)
  assert.deepEqual(
    scopes.map(({ scope, status }) => [scope, status]),
    [
      ['directory', 'complete'],
      ['accounts', 'denied'],
      ['groups', 'denied'],
    ],
  )
  assert.equal(await i.count('observed_principal', 'missed_at is null'), before)
})

test('attack: attributes that every account has and the server hides are not known, and their absence is not told as nothing', async (t) => {
  const b = bed()
  const { i, id } = await read(t, b)
  const reader = sidOf(b.at('reader'))
  // [MS-ADA1] to [MS-ADA3], schemaIDGUID of each.
  const hide = (name: string, guid: string) => dc.access(b.at(name), `(OD;;RP;${guid};;${reader})`)
  hide('ann', 'bf967a0a-0de6-11d0-a285-00aa003049e2')
  hide('old', 'bf967915-0de6-11d0-a285-00aa003049e2')
  hide('web', 'f3a64788-5306-11d1-a9c5-0000f80367c1')
  const { scopes } = await i.collect(id)
  const accounts = scopes.find(({ scope }) => scope === 'accounts')
  const { rows } = await sql<{ name: string; state: string | null; why: string | null; spns: unknown }>`
    select name, state, unknown ->> 'state' as why, facts -> 'servicePrincipals' as spns from observed_principal
     where name in (${sql.join(['ann', 'old', 'web'].map((name) => `${name}${beds}`))}) order by name`.execute(i.w.db)
  const password = sql<{ why: string | null }>`
    select unknown ->> 'rotatedAt' as why from observed_credential where name = ${`ann${beds}`}`

  assert.deepEqual(
    [accounts?.status, accounts?.missing.map(({ what, permission }) => `${what} <- ${permission}`).toSorted()],
    [
      'partial',
      ['accountExpires of 1 accounts <- to read accountExpires', 'pwdLastSet of 1 accounts <- to read pwdLastSet'],
    ],
  )
  assert.deepEqual(
    rows.map(({ state, why, spns }) => [state, why, spns ?? null]),
    [
      ['active', null, null],
      [null, 'denied', null],
      ['active', null, null],
    ],
  )
  assert.deepEqual((await password.execute(i.w.db)).rows, [{ why: 'denied' }])
  assert.equal(await i.count('observed_principal', 'missed_at is not null'), 0)
})
