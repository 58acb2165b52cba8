/** What a connector says when its login loses one right and keeps all others: a real system, one right after the other. */
import assert from 'node:assert/strict'
import { Denied, type Connector, type Missing, type Page, type ScopeReport } from '../../src/connectors/connector.ts'
import { sourceHttpTo } from '../../src/inventory/inventory.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { Secret } from '../../src/kernel/secret.ts'

export type Reader = {
  readonly connector: Connector
  readonly settings: unknown
  readonly credential: Readonly<Record<string, string>>
}
/** One right that is taken and given back, and what of each scope is said without it: its status, and the permissions that are named. */
export type Right = {
  readonly name: string
  readonly take: () => Promise<unknown>
  readonly give: () => Promise<unknown>
  readonly says: Readonly<Record<string, readonly [ScopeReport['status'], ...string[]]>>
}

const signal = new AbortController().signal

/** Each scope as `status: permissions`, by reading it; then each as the probe has it. */
export async function saidBy({ connector, settings, credential }: Reader): Promise<{
  read: Record<string, readonly [ScopeReport['status'], ...string[]]>
  probed: Record<string, { isVisible: boolean; permissions: string[] }>
}> {
  const parsed = connector.settings.parse(settings)
  await using source = await connector.open(
    {
      settings: parsed,
      credential: new Secret(JSON.stringify(credential)),
      clock: systemClock,
      fingerprint: () => ({ alg: 'hmac-sha256', keyId: '0'.repeat(12), value: '0'.repeat(64) }),
      http: sourceHttpTo(connector.address(parsed), systemClock),
      ours: async () => new Set(),
      custody: () => Buffer.of(),
    },
    signal,
  )
  const { scopes } = await source.probe(signal)
  const probed = Object.fromEntries(
    scopes.map(({ scope, isVisible, missing }) => [scope, { isVisible, permissions: permissionsOf(missing) }]),
  )
  const read: Record<string, readonly [ScopeReport['status'], ...string[]]> = {}
  for await (const { scope } of source.scopes(signal)) {
    const { status, missing } = await reportOf(source.read(scope, {}, signal))
    read[scope] = [status, ...permissionsOf(missing)]
  }
  return { read, probed }
}

async function reportOf(reading: AsyncGenerator<Page, ScopeReport>): Promise<ScopeReport> {
  try {
    for (;;) {
      const next = await reading.next()
      if (next.done) return next.value
    }
  } catch (error) {
    if (error instanceof Denied) return { status: 'denied', missing: [error.missing] }
    throw error
  }
}

const permissionsOf = (missing: readonly Missing[]) =>
  [...new Set(missing.flatMap(({ permission }) => permission ?? []))].toSorted()

/** Without each right exactly the scopes that hang on it say so, by its name, before they are read and after; with it back all is as it was. */
export async function saysEachRight(reader: Reader, rights: readonly Right[]): Promise<void> {
  const before = await saidBy(reader)
  for (const { name, take, give, says } of rights) {
    await take()
    try {
      const { read, probed } = await saidBy(reader)
      const differs = Object.fromEntries(
        Object.entries(read).filter(([scope, said]) => JSON.stringify(said) !== JSON.stringify(before.read[scope])),
      )
      assert.deepEqual(differs, says, `without ${name}`)
      for (const [scope, [status, ...permissions]] of Object.entries(says)) {
        assert.equal(probed[scope]?.isVisible, status !== 'denied', `${scope} as it is probed without ${name}`)
        assert.deepEqual(probed[scope]?.permissions, permissions, `${scope} as it is probed without ${name}`)
      }
    } finally {
      await give()
    }
  }
  assert.deepEqual(await saidBy(reader), before)
}
