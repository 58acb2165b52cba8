/**
 * Certificates: X509-SVIDs and SSH certificates as they are minted, beside the bare signature, beside a library that writes each certificate
 * whole, and beside `ssh-keygen -s`, in interleaved rounds of one process.
 */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes, sign, webcrypto } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { ed25519Signer } from '../src/kernel/crypto.ts'
import { newKeyPair, opensshPublicKey } from '../src/kernel/key-pair.ts'
import { Secret } from '../src/kernel/secret.ts'
import { newSigningKey, openSigningKey, spkiOfJwk } from '../src/kernel/signing-key.ts'
import { openX509Key } from '../src/kernel/x509-key.ts'
import { authorityLine, makeUserCertificate } from '../src/credentials/ssh/certificate.ts'
import { readSshPublicKey } from '../src/credentials/ssh/public-key.ts'

type Way = { readonly name: string; readonly once: () => unknown }

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: { seconds: { type: 'string', default: '1' }, rounds: { type: 'string', default: '5' } },
  })
  const load = loadavg()[0] ?? 0
  const size = { seconds: Number(values.seconds), rounds: Number(values.rounds) }
  const x509 = await measured(await x509Ways(), size)
  const ssh = await measured(await sshWays(), size)
  const of = (rates: Rates, name: string) => rates[name] ?? Number.NaN
  const goals: [string, number, string][] = [
    ['X509-SVID against the bare signature', of(x509, 'svid') / of(x509, 'signature'), 'goal >= 0.8'],
    ['X509-SVID against @peculiar/x509', of(x509, 'svid') / of(x509, 'library'), 'goal >= 50'],
    ['SSH certificate against the bare signature', of(ssh, 'certificate') / of(ssh, 'signature'), 'goal >= 0.8'],
    ['SSH certificate against ssh-keygen -s', of(ssh, 'certificate') / of(ssh, 'ssh-keygen'), 'goal >= 100'],
  ]
  for (const [name, value, goal] of goals) console.log(`${name.padEnd(46)} ${value.toFixed(2).padStart(8)}  ${goal}`)
  console.log(`RESULT ${JSON.stringify({ bench: 'certificates', cpus: cpus().length, load, x509, ssh })}`)
}

type Rates = Readonly<Record<string, number>>

/** The median of the rounds, a second. Rounds of all ways take turns, so that a busy moment is nobody's alone. */
async function measured(ways: readonly Way[], size: { seconds: number; rounds: number }): Promise<Rates> {
  const rates = new Map(ways.map(({ name }) => [name, [] as number[]]))
  for (let round = 0; round < size.rounds; round++) {
    for (const { name, once } of ways) rates.get(name)?.push(await rateOf(once, size.seconds))
  }
  const medians = Object.fromEntries([...rates].map(([name, of]) => [name, Math.round(median(of))]))
  for (const [name, rate] of Object.entries(medians)) console.log(`${name.padEnd(14)} ${String(rate).padStart(8)}/s`)
  return medians
}

async function rateOf(once: () => unknown, seconds: number): Promise<number> {
  const startedAt = performance.now()
  const until = startedAt + seconds * 1000
  let done = 0
  while (performance.now() < until) {
    const made = once()
    if (made instanceof Promise) await made
    done += 1
  }
  return done / ((performance.now() - startedAt) / 1000)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function x509Ways(): Promise<Way[]> {
  const authority = openSigningKey(newSigningKey('ES256'))
  const minter = openX509Key(authority, 'Reeve example.org')
  const spki = spkiOfJwk(openSigningKey(newSigningKey('ES256')).publicJwk)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const body = randomBytes(400)
  const leaf = () => {
    const now = Date.now()
    return minter.mint({
      uri: 'spiffe://example.org/workload/payments-api',
      subject: 'payments-api',
      serial: randomBytes(16),
      notBefore: new Date(now - 60_000),
      notAfter: new Date(now + 3_600_000),
      spki,
    })
  }
  return [
    { name: 'signature', once: () => sign('sha256', body, privateKey) },
    { name: 'svid', once: leaf },
    { name: 'library', once: await libraryWay() },
  ]
}

/** The same leaf, written by a library. */
async function libraryWay(): Promise<() => Promise<unknown>> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  x509.cryptoProvider.set(webcrypto)
  const [issuer, subject] = await Promise.all(
    [0, 1].map(() => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])),
  )
  if (!issuer || !subject) throw new Error('no keys')
  return () =>
    x509.X509CertificateGenerator.create({
      serialNumber: randomBytes(16).toString('hex'),
      issuer: 'CN=Reeve example.org',
      subject: 'CN=payments-api',
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      signingAlgorithm: algorithm,
      publicKey: subject.publicKey,
      signingKey: issuer.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']),
        new x509.SubjectAlternativeNameExtension([
          { type: 'url', value: 'spiffe://example.org/workload/payments-api' },
        ]),
      ],
    })
}

async function sshWays(): Promise<Way[]> {
  const seed = new Secret(randomBytes(32))
  const authority = ed25519Signer(seed)
  const line = opensshPublicKey(await newKeyPair())
  const key = readSshPublicKey(line)
  if (!key) throw new Error('the key is not read')
  const body = randomBytes(500)
  const certificate = () =>
    makeUserCertificate(
      {
        key,
        serial: 7n,
        keyId: 'grant/lease/bob',
        principals: ['deploy@build-1'],
        validAfter: new Date(Date.now() - 60_000),
        validBefore: new Date(Date.now() + 600_000),
        sourceAddresses: ['192.0.2.1'],
        command: null,
        hasTerminal: true,
        nonce: randomBytes(32),
      },
      authority,
    )
  const ways: Way[] = [
    { name: 'signature', once: () => authority.sign(body) },
    { name: 'certificate', once: certificate },
  ]
  const keygen = (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'ssh-keygen')))
  if (!keygen) console.log(`ssh-keygen is not installed: not compared with it (${authorityLine(authority, 'bench')})`)
  return keygen ? [...ways, { name: 'ssh-keygen', once: keygenWay(line) }] : ways
}

function keygenWay(line: string): () => unknown {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [authority, subject] = [join(folder, 'ca'), join(folder, 'key.pub')]
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', authority])
  writeFileSync(subject, `${line}\n`)
  const args = ['-q', '-s', authority, '-I', 'grant/lease/bob', '-n', 'deploy@build-1', '-V', '-1m:+10m', subject]
  return () => execFileSync('ssh-keygen', args)
}
