import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toyPrincipal } from '../../../test/support/toy-source.ts'
import { known, type Observation } from '../../connectors/connector.ts'
import { PathExportQuery, PathQuery } from './contract.ts'
import { exportPaths } from './export.ts'
import { listPaths, readPath, readReach } from './paths.ts'
import { CLUSTER, estate, grant, people, resource, toy } from './graph.fixture.ts'

const GITHUB = 'https://token.actions.githubusercontent.com'
const CI = 'https://cluster.example'

type Asked = { readonly sub?: readonly string[]; readonly [claim: string]: readonly string[] | undefined }
/** Whom a role believes; what has `*` in its subject is a pattern. */
function believes(to: string, issuer: string, claims: Asked, more: object = {}): Observation {
  return {
    kind: 'trust',
    id: { kind: 'role-trust', id: `${to} ${JSON.stringify(claims)}` },
    from: { issuer, claims: { aud: ['cloud'], ...(claims as Record<string, string[]>) } },
    to: toy(to),
    wildcard: (claims.sub ?? []).some((sub) => /[*?]/.test(sub)),
    ...more,
  }
}
const issuer = (url: string) =>
  ({ ...resource(url, 'token-issuer'), id: { kind: 'token-issuer', id: url } }) as Observation
const account = (name: string, place = 'pay', more: object = {}) =>
  toyPrincipal(`${place}/${name}`, {
    name: `${place}/${name}`,
    facts: { tokenSubjects: [`system:serviceaccount:${place}:${name}`] },
    ...more,
  })
const repo = (name: string) =>
  resource(name, 'repository', {
    facts: {
      tokenSubjects: [`repo:${name}:ref:*`, `repo:${name}:environment:*`, `repo:${name}:pull_request`],
      'tokenClaim:repository': name,
      'tokenClaim:repository_owner': name.split('/')[0] ?? '',
    },
  })
/** A cloud whose roles each have all of it. */
const cloud = (...trusts: Observation[]) => [
  CLUSTER,
  ...[...new Set(trusts.map((each) => (each.kind === 'trust' ? each.to.id : '')))].flatMap((role) => [
    ...people(role),
    grant(role, 'cluster', 'SUPERUSER', 'admin'),
  ]),
  ...trusts,
]
const other = (authority: string) => ({ authority, source: { environment: 'test' } })
/** What is come to by a token itself, and not by what is behind that. */
async function letIn(e: Awaited<ReturnType<typeof estate>>, name: string): Promise<string[]> {
  const { reached } = await readReach(e.w.db, e.w.clock, await e.idOf(name))
  return reached.flatMap(({ edge, to }) => (edge === 'trusted' ? [to.name] : [])).toSorted()
}
const WAY = ['gets-token', 'trusted', 'superuser']

test('an account of a cluster comes to what believes its token, with what both sources told; what only looks alike does not', async (t) => {
  const e = await estate(t)
  await e.tell(
    cloud(
      believes('deployer', CI, { sub: ['system:serviceaccount:pay:api'] }),
      believes('literal', CI, { sub: ['system:serviceaccount:pay:*'] }, { wildcard: false }),
      believes('any-of-shop', CI, { sub: ['system:serviceaccount:shop:web-?'] }),
      believes('elsewhere', 'https://cluster.example.net', { sub: ['system:serviceaccount:pay:apis'] }),
      believes('expressed', CI, {}, { facts: { expression: `claims['sub'] matches 'x'` } }),
    ),
  )
  const accounts = [
    account('api'),
    account('apis'),
    account('API'),
    account('web-1', 'shop'),
    account('web-10', 'shop'),
    account('web-2', 'shop', { state: known('deleted') }),
  ]
  await e.tell([issuer(CI), ...accounts], other('toy:cluster'))

  assert.deepEqual(await e.way('pay/api'), WAY)
  assert.deepEqual(await e.way('shop/web-1'), WAY)
  for (const name of ['pay/apis', 'pay/API', 'shop/web-10', 'shop/web-2'])
    assert.equal(await e.way(name), undefined, name)
  assert.deepEqual(await letIn(e, 'pay/api'), ['deployer'])
  const { steps } = await readPath(e.w.db, e.w.clock, await e.idOf('pay/api'))
  assert.deepEqual(steps.map(({ evidence }) => [evidence.kind, evidence.what]).slice(0, 2), [
    ['resource', `token-issuer ${CI}`],
    ['trust', CI],
  ])
  assert.notEqual(steps[0]?.evidence.source, steps[1]?.evidence.source)

  // Read twice without it: the account is gone, and so is its way.
  for (let reading = 0; reading < 2; reading += 1)
    await e.tell([issuer(CI), ...accounts.slice(1)], other('toy:cluster'))
  assert.equal(await e.way('pay/api'), undefined)
})

test('patterns let in each repository that can get such a token, and no other', async (t) => {
  const e = await estate(t)
  const ways: Record<string, [Asked, string[]]> = {
    branch: [{ sub: ['repo:acme/shop:ref:refs/heads/main'] }, ['acme/shop']],
    staged: [{ sub: ['repo:acme/shop:environment:prod'] }, ['acme/shop']],
    owner: [{ sub: ['repo:acme/*'] }, ['acme/Shop', 'acme/shop', 'acme/shop-old']],
    main: [{ sub: ['repo:*:ref:refs/heads/main'] }, ['acme/Shop', 'acme/shop', 'acme/shop-old', 'acme2/shop']],
    tail: [{ sub: ['repo:acme/shop*:ref:refs/tags/v?.*'] }, ['acme/shop', 'acme/shop-old']],
    named: [{ repository: ['acme/shop'], ref: ['refs/heads/main'] }, ['acme/shop']],
    both: [{ sub: ['repo:acme*'], repository_owner: ['acme2'] }, ['acme2/shop']],
    anybody: [{}, ['acme/Shop', 'acme/shop', 'acme/shop-old', 'acme2/shop']],
    unknown: [{ job_workflow_ref: ['acme/ci/.github/workflows/x.yml@main'] }, []],
    under: [{ sub: ['repo:acme/shop_old:ref:*', 'repo:acme/sho%:ref:*', 'repo:acme/shop:environment'] }, []],
    deeper: [{ sub: ['repo:acme/shop:ref:refs/heads/a:b'] }, []],
  }
  await e.tell(cloud(...Object.entries(ways).map(([role, [asked]]) => believes(role, GITHUB, asked))))
  const names = ['acme/shop', 'acme/Shop', 'acme/shop-old', 'acme2/shop']
  await e.tell(
    [
      issuer(GITHUB),
      ...names.map(repo),
      ...people('writer', 'reader', 'robot', 'silent'),
      grant('writer', 'acme/shop', 'push', 'write'),
      grant('reader', 'acme/shop', 'pull', 'read'),
      ...['robot', 'silent'].map((who) =>
        grant(who, 'acme2/shop', 'contents: read', 'read', { id: { kind: 'pipeline-token', id: who } }),
      ),
      grant('robot', GITHUB, 'id-token: write', 'use', { id: { kind: 'pipeline-id-token', id: 'robot' } }),
    ],
    other('toy:forge'),
  )

  const reached = new Map<string, string[]>()
  for (const name of names) reached.set(name, await letIn(e, name))
  for (const [role, [, expected]] of Object.entries(ways)) {
    const found = names.filter((name) => reached.get(name)?.includes(role)).toSorted()
    assert.deepEqual(found, expected, role)
  }
  assert.deepEqual(await e.way('writer'), ['can-write-pipeline', ...WAY])
  assert.deepEqual(await e.way('robot'), WAY)
  assert.equal(await e.way('reader'), undefined)
  assert.equal(await e.way('silent'), undefined)
})

test('of a pool, each member is come to by the tokens that it names, and not by all of the pool', async (t) => {
  const e = await estate(t)
  const pool = (id: string, which: string): Observation[] => [
    ...people(id),
    grant(id, 'cluster', 'SUPERUSER', 'admin'),
    {
      kind: 'trust',
      id: { kind: 'pool-member', id },
      from: toy('pool'),
      to: toy(id),
      wildcard: true,
      facts: { where: which },
    },
  ]
  const mapping = ['google.subject = assertion.sub', 'attribute.repository = assertion.repository']
  await e.tell([
    CLUSTER,
    ...people('pool'),
    believes(
      'pool',
      GITHUB,
      { repository_owner: ['acme'] },
      { id: { kind: 'pool-provider', id: 'p' }, facts: { mapping } },
    ),
    ...pool('by-repository', 'attribute.repository/acme/shop'),
    ...pool('by-subject', 'subject/repo:acme/site:ref:refs/heads/main'),
    ...pool('by-guess', 'attribute.actor/ann'),
  ])
  await e.tell([issuer(GITHUB), ...['acme/shop', 'acme/site', 'evil/shop'].map(repo)], other('toy:forge'))

  assert.deepEqual(await letIn(e, 'acme/shop'), ['by-repository'])
  assert.deepEqual(await letIn(e, 'acme/site'), ['by-subject'])
  assert.deepEqual(await e.reach('evil/shop'), [])
})

test('of several that say to be an issuer none is believed, but whoever is read at its own address always is', async (t) => {
  const e = await estate(t)
  await e.tell(cloud(believes('deployer', CI, { sub: ['system:serviceaccount:pay:api'] })))
  await e.tell([issuer(CI), account('api')], other('toy:cluster'))
  assert.deepEqual(await e.way('pay/api'), WAY)
  const said = async () => {
    const { coverage } = await readPath(e.w.db, e.w.clock, await e.idOf('pay/api'))
    return coverage.unseen.map(({ status, what, why }) => `${status}: ${what}: ${why}`)
  }
  assert.deepEqual(await said(), [])

  const forged = account('api', 'pay', { id: toy('forged'), name: 'forged' })
  await e.tell([issuer(CI), forged], other('toy:liar'))
  assert.equal(await e.way('forged'), undefined)
  assert.equal(await e.way('pay/api'), undefined)
  // What took the way is named wherever the way is looked for, in the list and in what is taken away too.
  const [dispute = '', ...others] = await said()
  assert.match(dispute, /^disputed: ways by tokens of https:\/\/cluster\.example: \S+, \S+ say to be this issuer/)
  assert.deepEqual(others, [])
  const { coverage } = await listPaths(e.w.db, e.w.clock, PathQuery.parse({}))
  assert.deepEqual([coverage.isWhole, coverage.unseen[0]?.status], [false, 'disputed'])
  assert.match(await exportPaths(e.w.db, e.w.clock, PathExportQuery.parse({ format: 'csv' })), /disputed/)

  // It is at the address that it says, by TLS; the other says so of another's.
  const real = account('api', 'pay', { id: toy('real'), name: 'real' })
  await e.tell([issuer(CI), real], { ...other('toy:real'), read: { by: 'kubernetes', url: `${CI}/` } })
  const evil = account('api', 'pay', { id: toy('evil'), name: 'evil' })
  await e.tell([issuer(CI), evil], { ...other('toy:evil'), read: { by: 'kubernetes', url: `${CI}.evil` } })
  await e.tell([issuer(CI)], { ...other('toy:plain'), read: { by: 'kubernetes', url: 'http://cluster.example' } })
  assert.deepEqual(await e.way('real'), WAY)
  for (const name of ['pay/api', 'forged', 'evil']) assert.equal(await e.way(name), undefined, name)
  assert.deepEqual(await said(), [])
})

test('a cluster is come to by the address at which it is asked, an Enterprise Server by its own issuer; look-alikes and other keys give no way', async (t) => {
  const e = await estate(t)
  const [host, subject] = ['https://10.1.2.3', { sub: ['system:serviceaccount:pay:api'] }]
  const [server, sub] = ['https://ghe.example/_services/token', ['repo:acme/shop:ref:refs/heads/main']]
  await e.tell(
    cloud(
      believes('asked', host, subject),
      believes('asked-elsewhere', 'https://10.1.2.30', subject),
      believes('other-keys', host, { ...subject, iss: ['https://kubernetes.default.svc'] }),
      believes('server', server, { sub }),
      believes('server-like', 'https://ghe.example.evil/_services/token', { sub }),
      believes('server-path', 'https://ghe.example/_services/token/', { sub }),
      believes('enterprise', 'https://token.actions.acme.ghe.com', { sub }),
      believes('github', GITHUB, { sub }),
    ),
  )
  const read = (by: string, url: string) => ({ ...other(`${by}:${url}`), read: { by, url } })
  await e.tell([issuer('https://kubernetes.default.svc'), account('api')], read('kubernetes', `${host}:443/`))
  const namesake = account('api', 'pay', { id: toy('namesake'), name: 'namesake' })
  await e.tell([issuer('https://kubernetes.default.svc'), namesake], read('kubernetes', 'https://10.1.2.4'))
  const forge = (name: string, url: string, says: string) =>
    e.tell([issuer(says), { ...repo('acme/shop'), id: toy(name), name } as Observation], read('github', url))
  await forge('at-server', 'https://ghe.example/api/v3', server)
  await forge('at-enterprise', 'https://api.acme.ghe.com', 'https://token.actions.acme.ghe.com')
  // It says to be the server, and is read elsewhere.
  await forge('forged', 'https://ghe.example.evil/api/v3', server)
  await forge('forged-enterprise', 'https://ghe.example/api.acme.ghe.com', 'https://token.actions.acme.ghe.com')

  assert.deepEqual(await letIn(e, 'pay/api'), ['asked'])
  assert.deepEqual(await letIn(e, 'at-server'), ['server'])
  assert.deepEqual(await letIn(e, 'at-enterprise'), ['enterprise'])
  for (const name of ['namesake', 'forged', 'forged-enterprise']) assert.deepEqual(await letIn(e, name), [], name)
})
