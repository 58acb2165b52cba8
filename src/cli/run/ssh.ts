/** `ssh` to a host under a grant of its own, by a certificate that is good for minutes and for this host alone. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { issueSshCertificate } from '../../credentials/contract.ts'
import { newKeyPair, opensshPublicKey } from '../../kernel/key-pair.ts'
import type { Client } from '../client.ts'
import type { Io } from '../io.ts'
import { findProgram, runCommand } from './command.ts'
import { privateFolder } from './private-folder.ts'
import { underGrant, type GrantTerms } from './run.ts'

/** What `ssh` is not told of: our own proof, and agents that it could offer instead of the certificate. */
const WITHHELD = new Set(['REEVE_TOKEN', 'REEVE_TOKEN_FILE', 'REEVE_CLIENT_CERT', 'REEVE_CLIENT_KEY', 'SSH_AUTH_SOCK'])

/** Opens a shell, or runs the command, and gives the exit code of `ssh`. */
export async function sshUnderGrant(io: Io, terms: GrantTerms, command: readonly string[]): Promise<number> {
  const program = findProgram(io, 'ssh')
  return underGrant(io, terms, async (client, start) => {
    const { grantId, signal } = await start()
    await using folder = await privateFolder(io)
    const args = await certified(client, grantId, folder.path, { target: terms.target, command: command.join(' ') })
    signal.throwIfAborted()
    const env = Object.entries(io.env).filter(([name, value]) => value !== undefined && !WITHHELD.has(name))
    return await runCommand(program, args, Object.fromEntries(env.map(([name, value]) => [name, value ?? ''])))
  })
}

type Asked = { readonly target: string; readonly command: string }

/** A key that is made here and stays here, its certificate, and the host's own keys: the arguments of `ssh` that use nothing else. */
async function certified(client: Client, grantId: string, folder: string, { target, command }: Asked) {
  const pair = await newKeyPair()
  const input = { publicKey: opensshPublicKey(pair), ...(command !== '' && { command }) }
  const issued = await client.ask(issueSshCertificate, { params: { grant: grantId }, input })
  const file = async (name: string, text: string) => {
    const path = join(folder, name)
    await writeFile(path, text, { mode: 0o600, flag: 'wx' })
    return path
  }
  const options = {
    CertificateFile: await file('key-cert.pub', `${issued.certificate}\n`),
    UserKnownHostsFile: await file('known_hosts', `${issued.knownHosts.join('\n')}\n`),
    GlobalKnownHostsFile: '/dev/null',
    HostKeyAlias: target,
    StrictHostKeyChecking: 'yes',
    IdentitiesOnly: 'yes',
    PreferredAuthentications: 'publickey',
    ForwardAgent: 'no',
    ClearAllForwardings: 'yes',
  }
  return [
    ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    '-i',
    await file('key', pair.privateKey.reveal()),
    '-l',
    issued.login,
    '-p',
    String(issued.port),
    // Whatever the host is called, it is no option.
    '--',
    issued.host,
    ...(command === '' ? [] : [command]),
  ]
}
