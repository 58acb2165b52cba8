import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { enrol, enrolFounder } from '../../demo/people.ts'
import { requestAccess } from '../../src/access/contract.ts'
import { approvePurpose, proposePurpose, registerAccount, registerTarget } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { listLeases, type Lease } from '../../src/credentials/contract.ts'
import { eventually } from './eventually.ts'
import { site, type Cleaning, type Site } from './installation.ts'

export type HandedTarget = {
  readonly name: string
  readonly protocol: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly provisioner?: { readonly user: string; readonly password: string }
  readonly accounts: readonly Readonly<Record<string, unknown> & { name: string; mode: 'lease' | 'static' }>[]
  readonly actions: readonly string[]
}

/** An installation with targets whose credentials are handed out, in the test environment, where nothing that is done there is recorded. */
export type IssuedWorld = Site & {
  readonly ada: Client
  readonly bob: Client
  readonly carol: Client
  register(target: HandedTarget): Promise<void>
  /** Asks for access as bob and gives the grant's id. */
  grant(target: string, account: string, actions: readonly string[], more?: object): Promise<string>
  /** The newest lease of a grant, once it is in that state. */
  lease(grant: string, state: Lease['state']): Promise<Lease>
}

export async function issuedWorld(
  cleaning: Cleaning,
  more: Readonly<Record<string, unknown>> = {},
): Promise<IssuedWorld> {
  const policies = mkdtempSync(join(tmpdir(), 'reeve-issued-'))
  cleaning.after(() => rmSync(policies, { recursive: true }))
  cpSync(join(import.meta.dirname, '../../policies'), policies, { recursive: true })
  const rules = join(policies, 'default.cedar')
  writeFileSync(rules, readFileSync(rules, 'utf8').replaceAll(/@record\("(?:full|meta)"\)/g, '@record("none")'))
  const egress = { allow: ['http://127.0.0.1', '127.0.0.1', 'localhost'] }
  const here = await site(cleaning, { policies, egress, ...more })
  const ada = await enrolFounder(here.server)
  const bob = await enrol(here.server, ada, { kind: 'human', name: 'bob', profile: 'person' })
  const carol = await enrol(here.server, ada, { kind: 'human', name: 'carol', profile: 'person' })
  return {
    ...here,
    ada,
    bob,
    carol,
    async register({ name, protocol, settings, provisioner, accounts, actions }) {
      const about = { environment: 'test', sensitivity: 2, ownerTeam: 'shop' } as const
      await ada.ask(registerTarget, {
        input: { name, protocol, ...about, settings, ...(provisioner && { provisioner }) },
      })
      for (const input of accounts) await ada.ask(registerAccount, { params: { target: name }, input })
      const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
      const purpose = { name: `use-${name}`, statement: 'It is looked after.', ownerTeam: 'shop', expiresAt }
      await bob.ask(proposePurpose, { input: { ...purpose, targets: [name], actions: [...actions] } })
      await carol.ask(approvePurpose, { params: { purpose: purpose.name } })
    },
    async grant(target, account, actions, wanted) {
      const input = { target, account, actions: [...actions], purpose: `use-${target}`, ...wanted }
      const { grantId } = await bob.ask(requestAccess, { input })
      return grantId ?? ''
    },
    lease: (grantId, state) =>
      eventually(async () => {
        const { items } = await ada.ask(listLeases, { query: { grantId } })
        const last = items.at(-1)
        return last?.state === state ? last : undefined
      }),
  }
}
