import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { enrol, enrolFounder } from '../../demo/people.ts'
import { requestAccess } from '../../src/access/contract.ts'
import { approvePurpose, proposePurpose, registerAccount, registerTarget } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { site, type Cleaning, type Site } from './installation.ts'

/** An installation that lets people in at a host of the test environment, where nothing of theirs is recorded. */
export type SshWorld = Site & {
  readonly ada: Client
  readonly bob: Client
  /** Asks for access to the account at the host and gives the grant's id. */
  grant(actions: readonly string[], more?: Readonly<Record<string, unknown>>): Promise<string>
}

export async function sshWorld(
  cleaning: Cleaning,
  host: { readonly account: string; readonly port?: number; readonly hostKey: string },
): Promise<SshWorld> {
  const policies = mkdtempSync(join(tmpdir(), 'reeve-ssh-'))
  cleaning.after(() => rmSync(policies, { recursive: true }))
  cpSync(join(import.meta.dirname, '../../policies'), policies, { recursive: true })
  const rules = join(policies, 'default.cedar')
  writeFileSync(rules, readFileSync(rules, 'utf8').replaceAll('@record("full")', '@record("none")'))
  const here = await site(cleaning, { policies })
  const ada = await enrolFounder(here.server)
  const bob = await enrol(here.server, ada, { kind: 'human', name: 'bob', profile: 'person' })
  const carol = await enrol(here.server, ada, { kind: 'human', name: 'carol', profile: 'person' })
  const settings = { host: '127.0.0.1', port: host.port ?? 22, hostKeys: [host.hostKey], readsRevocations: true }
  await ada.ask(registerTarget, {
    input: { name: 'build-1', protocol: 'ssh', environment: 'test', sensitivity: 2, ownerTeam: 'shop', settings },
  })
  await ada.ask(registerAccount, { params: { target: 'build-1' }, input: { name: host.account, mode: 'lease' } })
  const actions = ['ssh.exec', 'ssh.shell', 'ssh.root']
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  await bob.ask(proposePurpose, {
    input: {
      name: 'builds',
      statement: 'Hosts are looked after.',
      ownerTeam: 'shop',
      targets: ['build-1'],
      actions,
      expiresAt,
    },
  })
  await carol.ask(approvePurpose, { params: { purpose: 'builds' } })
  return {
    ...here,
    ada,
    bob,
    async grant(wanted, more) {
      const input = { target: 'build-1', account: host.account, actions: [...wanted], purpose: 'builds', ...more }
      const { grantId } = await bob.ask(requestAccess, { input })
      return grantId ?? ''
    },
  }
}
