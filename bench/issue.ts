/**
 * Access tokens: from end to end over HTTPS, each with its durable entry, and the parts of it that are signatures. One node with its own
 * PostgreSQL that syncs each commit; the clients are in the same process, so what a core issues is at least what is said here.
 */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { enrolFounder } from '../demo/people.ts'
import { activateIdentity, attestOwner, registerIdentity } from '../src/identities/contract.ts'
import { loadConfig } from '../src/kernel/config.ts'
import { readPublicKey } from '../src/kernel/crypto.ts'
import { newKeyPair } from '../src/kernel/key-pair.ts'
import { silentLog } from '../src/kernel/log.ts'
import { newSigningKey, openSigningKey } from '../src/kernel/signing-key.ts'
import { startServer, type RunningServer } from '../src/server.ts'
import { createTrustRule } from '../src/tokens/contract.ts'
import { openMint } from '../src/tokens/jwt.ts'
import { measureRoles, type Roles, type RolesFound } from './issue/roles.ts'
import { countedStatements, countStatements } from './support/statements.ts'

const AT_ONCE = 32
const ROUNDS = 5
const SUBJECT = 'system:serviceaccount:bench:issuer'

type Size = { readonly tokens: number; readonly signatures: number; readonly roles: number; readonly standing: number }

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({ args: flags, options: { quick: { type: 'boolean', default: false } } })
  const size: Size = values.quick
    ? { tokens: 500, signatures: 2_000, roles: 10, standing: 200 }
    : { tokens: 10_000, signatures: 20_000, roles: 64, standing: 5_000 }
  const load = loadavg()[0] ?? 0
  const minting = await measureMinting(size.signatures)
  const roles = await measureRoles(size.roles, size.standing)
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  // As root the database runs under another uid, which must be able to pass through.
  await chmod(folder, 0o711)
  try {
    const config = join(folder, 'reeve.yaml')
    await writeFile(
      config,
      JSON.stringify({
        home: join(folder, 'home'),
        api: { port: 0 },
        gateways: { postgres: { port: 0 } },
        teams: { administrators: { members: ['ada'] } },
        limits: { requestsPerSecond: 100_000, requestBurst: 1_000_000 },
      }),
    )
    await using server = await startServer(loadConfig({ env: {}, workingFolder: folder, file: config }), silentLog)
    const issued = await measureIssue(server, size.tokens)
    const verified = await measureVerification(server, issued.sample, size.signatures)
    report({ load, minting, roles, issued, verified })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

type Minting = { readonly bare: number; readonly ours: number; readonly jose: number }

/** Signatures per second of one core, each way in turn so that all meet the same machine; the middle of the rounds. */
async function measureMinting(count: number): Promise<Minting> {
  const key = openSigningKey(newSigningKey('ES256'))
  const mint = openMint(key)
  const { privateKey } = await generateKeyPair('ES256')
  const claims = claimsOf(0)
  const input = Buffer.from('x'.repeat(500))
  const rounds: Minting[] = []
  for (let round = 0; round < ROUNDS + 1; round += 1) {
    const bare = await rate(count, () => key.sign(input))
    const ours = await rate(count, (at) => mint(claimsOf(at)))
    const jose = await rate(count, () =>
      new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: key.kid }).sign(privateKey),
    )
    rounds.push({ bare, ours, jose })
  }
  // The first is not counted: code is compiled in it.
  const counted = rounds.slice(1)
  const middle = (of: keyof Minting) => median(counted.map((round) => round[of]))
  return { bare: middle('bare'), ours: middle('ours'), jose: middle('jose') }
}

function claimsOf(at: number) {
  const issuer = 'https://reeve.example:7300'
  const id = `01a202ff-a4ea-77a4-80a8-${String(at).padStart(12, '0')}`
  return {
    iss: issuer,
    sub: id,
    aud: issuer,
    client_id: 'shop-migrations',
    iat: at,
    exp: at + 900,
    jti: id,
    txn: id,
    cnf: { jkt: 'R75dd6Apitv_o7T0tHJ0zTOQRH2sa9cHwkqsgg8D3iA' },
  }
}

async function rate(count: number, work: (at: number) => unknown): Promise<number> {
  const from = performance.now()
  for (let at = 0; at < count; at += 1) {
    const made = work(at)
    if (made instanceof Promise) await made
  }
  return (count * 1000) / (performance.now() - from)
}

type Issued = {
  readonly perSecond: number
  readonly perCpuSecond: number
  readonly p50: number
  readonly p99: number
  readonly sample: string
  /** Round trips to the database for one token, and what they are. */
  readonly statements: number
  readonly each: readonly string[]
}

/** So many are issued, one after another, while statements are counted. */
const COUNTED = 50
const STATEMENT_CHARS = 110

/** A pod's token, shown again and again, becomes as many access tokens, bound to the certificate of the handshake. */
async function measureIssue(server: RunningServer, count: number): Promise<Issued> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const { x = '', y = '' } = await exportJWK(publicKey)
  const ada = await enrolFounder(server)
  const job = { kind: 'workload', name: 'job', profile: 'service', owner: 'ada', ownerTeam: 'administrators' }
  await ada.ask(registerIdentity, { input: job })
  await ada.ask(attestOwner, { params: { identity: 'job' } })
  await ada.ask(activateIdentity, { params: { identity: 'job' } })
  await ada.ask(createTrustRule, {
    params: { identity: 'job' },
    input: {
      name: 'job',
      preset: 'kubernetes',
      issuer: 'https://k8s.example',
      subject: { is: SUBJECT },
      keys: { keys: [{ kty: 'EC', crv: 'P-256', x, y }] },
    },
  })
  const audience = server.domains.tokens.needs.issuer()
  const assertion = await new SignJWT({ sub: SUBJECT, iss: 'https://k8s.example', aud: audience })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey)
  const pair = await newKeyPair()
  const spki = readPublicKey(pair.publicKey)?.spki ?? Buffer.alloc(0)
  const { cert } = await server.authority.issueClient({ spki, commonName: 'job', ttlSeconds: 3600 })
  const agent = new Agent({
    keepAlive: true,
    maxSockets: AT_ONCE,
    ca: server.authority.certificate,
    cert,
    key: pair.privateKey.reveal(),
    servername: 'localhost',
  })
  const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }).toString()
  const ask = () => askOnce(agent, server.api.port, body)
  let sample = ''
  await inParallel(Math.min(count, 200), async () => void (sample = await ask()))
  const times: number[] = []
  const cpuBefore = process.cpuUsage()
  const from = performance.now()
  await inParallel(count, async () => {
    const at = performance.now()
    await ask()
    times.push(performance.now() - at)
  })
  const seconds = (performance.now() - from) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  countStatements()
  for (let at = 0; at < COUNTED; at += 1) await ask()
  const counted = countedStatements().map(({ text, times }) => ({ text, times: Math.round(times / COUNTED) }))
  const each = counted.filter(({ times }) => times > 0)
  agent.destroy()
  const sorted = times.toSorted((a, b) => a - b)
  return {
    perSecond: count / seconds,
    perCpuSecond: count / ((user + system) / 1e6),
    p50: sorted[Math.floor(count * 0.5)] ?? 0,
    p99: sorted[Math.floor(count * 0.99)] ?? 0,
    sample,
    statements: each.reduce((sum, { times }) => sum + times, 0),
    each: each.map(({ text, times }) => `${times} x ${text.replaceAll(/\s+/g, ' ').slice(0, STATEMENT_CHARS)}`),
  }
}

async function inParallel(count: number, work: () => Promise<void>): Promise<void> {
  let left = count
  const worker = async () => {
    while (left > 0) {
      left -= 1
      await work()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

function askOnce(agent: Agent, port: number, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        agent,
        host: '127.0.0.1',
        port,
        method: 'POST',
        path: '/oauth2/token',
        headers: {
          host: `localhost:${port}`,
          'content-type': 'application/x-www-form-urlencoded',
          'content-length': Buffer.byteLength(body),
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const answer: { access_token?: string } = JSON.parse(Buffer.concat(chunks).toString())
          if (answer.access_token === undefined) reject(new Error(JSON.stringify(answer)))
          else resolve(answer.access_token)
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

type Verified = { readonly first: number; readonly again: number; readonly jose: number }

/** One of our own tokens: its signature checked anew, known from before, and by `jose` with the published keys. */
async function measureVerification(server: RunningServer, token: string, count: number): Promise<Verified> {
  const { ring } = server.domains.tokens.needs
  const per = (times: number, work: () => void) => {
    const from = performance.now()
    for (let at = 0; at < times; at += 1) work()
    return (times * 1000) / (performance.now() - from)
  }
  const anew = () => {
    ring.flush()
    if (!ring.verify(token)) throw new Error('the token was not verified')
  }
  const again = () => {
    if (!ring.verify(token)) throw new Error('the token was not verified')
  }
  const keys = createLocalJWKSet({ keys: [...ring.published().keys] })
  const jose = () => jwtVerify(token, keys)
  per(count / 10, anew)
  per(count, again)
  await rate(count / 10, jose)
  const rounds: Verified[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    rounds.push({ first: per(count / 10, anew), again: per(count * 10, again), jose: await rate(count / 10, jose) })
  }
  const middle = (of: keyof Verified) => median(rounds.map((round) => round[of]))
  return { first: middle('first'), again: middle('again'), jose: middle('jose') }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

type Found = {
  readonly load: number
  readonly roles: RolesFound
  readonly minting: Minting
  readonly issued: Issued
  readonly verified: Verified
}

function report({ load, minting, roles, issued, verified }: Found): void {
  const { sample: _sample, each, ...told } = issued
  const whole = (value: number) => Math.round(value).toLocaleString('en')
  const toBare = minting.ours / minting.bare
  const toJose = minting.ours / minting.jose
  const replayed = verified.again / verified.first
  const toJoseVerified = verified.again / verified.jose
  console.log(`${cpus().length} cores, load ${load.toFixed(1)}, ${AT_ONCE} at once`)
  console.log(
    `issued over HTTPS        ${whole(told.perSecond)}/s, ${whole(told.perCpuSecond)} per CPU second (clients included)`,
  )
  console.log(`                         p50 ${told.p50.toFixed(1)} ms, p99 ${told.p99.toFixed(1)} ms`)
  console.log(`                         ${told.statements} statements to the database for each:`)
  for (const statement of each) console.log(`                           ${statement}`)
  console.log(`ES256 signature, bare    ${whole(minting.bare)}/s`)
  console.log(`ES256 token, ours        ${whole(minting.ours)}/s, ${toBare.toFixed(2)} of bare (goal 0.8)`)
  console.log(`ES256 token, jose        ${whole(minting.jose)}/s, ours is ${toJose.toFixed(1)} times that (goal 2)`)
  console.log(
    `own token verified       ${whole(verified.first)}/s anew, ${whole(verified.again)}/s again: ${whole(replayed)} times`,
  )
  console.log(
    `the same by jose         ${whole(verified.jose)}/s: again is ${whole(toJoseVerified)} times that (goal 100)`,
  )
  reportRoles('few leases', roles.few)
  reportRoles(`beside ${whole(roles.standing)} leases`, roles.many)
  console.log(
    `RESULT ${JSON.stringify({ load, minting, roles, issued: told, verified, toBare, toJose, replayed, toJoseVerified })}`,
  )
}

function reportRoles(beside: string, { bare, ...ours }: Roles): void {
  console.log(
    `database roles, ${beside}: bare CREATE ROLE ${bare.toFixed(0)}/s; times that (goals 4 single, 25 together):`,
  )
  for (const [what, perSecond] of Object.entries(ours)) {
    console.log(`  ${what.padEnd(22)} ${perSecond.toFixed(0)}/s, ${(perSecond / bare).toFixed(2)} times`)
  }
}
