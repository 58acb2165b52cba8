/** How a machine joins, and goes on: what it proved is proven again each time, and the key stays where it was made. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as pathOf } from 'node:path'
import { promisify } from 'node:util'
import { attestationText, HOST_KEY_NAMESPACE, joinMachine, renewMachine } from '../credentials/contract.ts'
import { secondsAfter, type Clock } from '../kernel/clock.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import { Secret } from '../kernel/secret.ts'
import type { Connect, Proof } from './server.ts'
import { keep, kept } from './state.ts'

export type AdmissionOptions = {
  readonly machine: string
  /** Read once, when the machine joins. */
  readonly joinTokenFile?: string | undefined
  /** Of the SSH host key whose public half lies beside it. */
  readonly hostKeyFile?: string | undefined
  readonly stateFolder: string
  readonly connect: Connect
  readonly clock: Clock
}

/** What the agent speaks with, and until when. */
export type Admission = Proof & {
  readonly identity: string
  readonly trustDomain: string
  readonly expiresAt: Date
  readonly renewAt: Date
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id'
const run = promisify(execFile)
const SIGN_MS = 10_000

/** Goes on with what an earlier run was admitted to, or joins. */
export async function begin(options: AdmissionOptions, signal: AbortSignal): Promise<Admission> {
  const before = await kept(options.stateFolder)
  const isSame = before?.bootId === (await bootId()) && before.machine === options.machine
  if (before && isSame && before.expiresAt > options.clock.now()) {
    return admissionOf(before, options.clock.now())
  }
  return enter(options, undefined, signal)
}

/** Proves the same again, with the next key. */
export function goOn(options: AdmissionOptions, proof: Admission, signal: AbortSignal): Promise<Admission> {
  return enter(options, proof, signal)
}

async function enter(options: AdmissionOptions, proof: Admission | undefined, signal: AbortSignal): Promise<Admission> {
  const { clock, machine, stateFolder } = options
  const pair = await newKeyPair()
  const purpose = proof ? 'renew' : 'join'
  const at = clock.now()
  const boot = await bootId()
  const shown = { publicKey: pair.publicKey, bootId: boot, at }
  const host = await hostProof(options.hostKeyFile, attestationText(purpose, machine, shown))
  const input = { ...shown, at: at.toISOString(), ...host }
  using server = options.connect(proof)
  const given = proof
    ? await server.ask(renewMachine, { input }, signal)
    : await server.ask(joinMachine, { input: { ...input, identity: machine, ...(await joinToken(options)) } }, signal)
  const admitted = {
    machine,
    identity: given.identity,
    trustDomain: given.trustDomain,
    token: new Secret(given.token),
    certificate: given.certificate,
    privateKey: pair.privateKey,
    bootId: boot,
    expiresAt: given.expiresAt,
  }
  await keep(stateFolder, admitted)
  return admissionOf(admitted, clock.now())
}

type Admitted = Omit<Admission, 'renewAt'>

/** The half of what is left is time enough to be away. */
function admissionOf(admitted: Admitted, now: Date): Admission {
  const leftMs = admitted.expiresAt.getTime() - now.getTime()
  const { identity, trustDomain, token, certificate, privateKey, expiresAt } = admitted
  return {
    identity,
    trustDomain,
    token,
    certificate,
    privateKey,
    expiresAt,
    renewAt: secondsAfter(now, leftMs / 2000),
  }
}

async function joinToken({ joinTokenFile }: AdmissionOptions): Promise<{ token?: string }> {
  return joinTokenFile === undefined ? {} : { token: (await readFile(joinTokenFile, 'utf8')).trim() }
}

async function bootId(): Promise<string> {
  return (await readFile(BOOT_ID, 'utf8')).trim()
}

/** Has OpenSSH sign with the key of the host, which alone may read it. */
async function hostProof(
  keyFile: string | undefined,
  text: string,
): Promise<{ hostKey?: string; hostSignature?: string }> {
  if (keyFile === undefined) return {}
  const folder = await mkdtemp(pathOf(tmpdir(), 'reeve-agent-'))
  try {
    const file = pathOf(folder, 'text')
    await writeFile(file, text, { mode: 0o600 })
    await run('ssh-keygen', ['-Y', 'sign', '-q', '-f', keyFile, '-n', HOST_KEY_NAMESPACE, file], { timeout: SIGN_MS })
    const [hostKey, hostSignature] = await Promise.all([
      readFile(`${keyFile}.pub`, 'utf8'),
      readFile(`${file}.sig`, 'utf8'),
    ])
    return { hostKey: hostKey.trim(), hostSignature }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
