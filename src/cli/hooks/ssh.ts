import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { issueSshCertificate } from '../../credentials/contract.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Instant } from '../../kernel/instant.ts'
import { newKeyPair, opensshPublicKey } from '../../kernel/key-pair.ts'
import type { Client } from '../client.ts'
import { usage } from '../failure.ts'
import type { Io } from '../io.ts'
import { grantOf, type HookTerms } from './grant.ts'

/** A certificate that runs out while somebody logs in is no use to them. */
const FRESH_MS = 30_000
const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/

/** Where the certificate of a target lies: one folder that only this user can read, in memory where there is such a place. */
function folderFor({ env }: Io, target: string): string {
  if (!NAME.test(target)) throw usage('A target is named in small letters, digits, dots and dashes.')
  const base = env['XDG_RUNTIME_DIR'] || join(env['HOME'] || homedir(), '.cache')
  return join(base, 'reeve', 'ssh', target)
}

/**
 * Prints lines for `ssh_config`. `Match … exec` runs the hook, which puts key, certificate, the host's own keys and where it is into a folder, and the
 * `Include` behind it reads them.
 */
export function printSshConfig(io: Io, terms: HookTerms): void {
  const folder = folderFor(io, terms.target)
  const words = ['--on', `${terms.target}:${terms.account}`, '--for', terms.purpose]
  if (words.some((word) => !/^[\w.:@/-]+$/.test(word))) {
    throw usage('ssh hands this line to a shell: the names in it have to be plain words.')
  }
  io.stdout.write(
    `Match originalhost ${terms.target} exec "reeve credential ssh ${words.join(' ')}"\n  Include ${join(folder, 'config')}\n`,
  )
}

/** Sees to it that the folder has a certificate that is good for a while. Prints nothing. */
export async function keepSshCertificate(io: Io, client: () => Client, terms: HookTerms): Promise<void> {
  const folder = folderFor(io, terms.target)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (await isFresh(folder, terms)) return
  using open = client()
  const grant = await grantOf(io, open, terms)
  const pair = await newKeyPair()
  const issued = await open.ask(issueSshCertificate, {
    params: { grant },
    input: { publicKey: opensshPublicKey(pair) },
  })
  const put = async (name: string, text: string) => {
    // Beside, then over: ssh of another window never reads half of it.
    await writeFile(join(folder, `.${name}`), text, { mode: 0o600 })
    await rename(join(folder, `.${name}`), join(folder, name))
  }
  await put('key', pair.privateKey.reveal())
  await put('key-cert.pub', `${issued.certificate}\n`)
  await put('known_hosts', `${issued.knownHosts.join('\n')}\n`)
  await put(
    'config',
    [
      `HostName ${issued.host}`,
      `Port ${issued.port}`,
      `User ${issued.login}`,
      `HostKeyAlias ${terms.target}`,
      `IdentityFile "${join(folder, 'key')}"`,
      `CertificateFile "${join(folder, 'key-cert.pub')}"`,
      `UserKnownHostsFile "${join(folder, 'known_hosts')}"`,
      'GlobalKnownHostsFile /dev/null',
      'StrictHostKeyChecking yes',
      'IdentitiesOnly yes',
      'PreferredAuthentications publickey',
      'ForwardAgent no',
      'ClearAllForwardings yes',
      '',
    ].join('\n'),
  )
  await put('state', JSON.stringify({ ...aboutOf(terms), validBefore: issued.validBefore.toISOString() }))
}

function aboutOf({ account, purpose, actions }: HookTerms) {
  return { account, purpose, actions: actions.join(' ') }
}

async function isFresh(folder: string, terms: HookTerms): Promise<boolean> {
  try {
    const state: unknown = JSON.parse(await readFile(join(folder, 'state'), 'utf8'))
    const { validBefore, ...about } = Object(state)
    if (JSON.stringify(about) !== JSON.stringify(aboutOf(terms))) return false
    return Instant.decode(validBefore).getTime() > systemClock.now().getTime() + FRESH_MS
  } catch {
    return false
  }
}
