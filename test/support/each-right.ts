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
  /** Whether asking beforehand shows all that reading does; else it may know less, and never something else. */
  readonly isForetold?: boolean
}
/** One right that is taken and given back, and what of each scope is said without it: its status, and the permissions that are named. */
export type Right = {
  readonly name: string
  readonly take: () => Promise<unknown>
  readonly give: () => Promise<unknown>
  readonly says: Readonly<Record<string, readonly [ScopeReport['status'], ...string[]]>>
}

type Said = {
  read: Record<string, readonly [ScopeReport['status'], ...string[]]>
  probed: Record<string, { isVisible: boolean; permissions: string[] }>
}

const signal = new AbortController().signal

/** Each scope as `status: permissions`, by reading it; then each as the probe has it. */
export async function saidBy({ connector, settings, credential }: Reader): Promise<Said> {
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

/** Without each right exactly the scopes that hang on it say so, by its name, before they are read and after; with it back all is as it was, which is the answer. */
export async function saysEachRight(reader: Reader, rights: readonly Right[]): Promise<Said> {
  const before = await saidBy(reader)
  const said: Record<string, Right['says']> = {}
  const wrong: Record<string, unknown> = {}
  for (const { name, take, give } of rights) {
    await take()
    try {
      const { read, probed } = await saidBy(reader)
      const differs = Object.entries(read).filter(
        ([scope, report]) => JSON.stringify(report) !== JSON.stringify(before.read[scope]),
      )
      said[name] = Object.fromEntries(differs)
      for (const [scope, [status, ...permissions]] of Object.entries(read)) {
        const { isVisible = true, permissions: foretold = [] } = probed[scope] ?? {}
        const isSame = isVisible === !/denied|unsupported/.test(status) && foretold.join() === permissions.join()
        const isPart = foretold.every((permission) => permissions.includes(permission))
        if (reader.isForetold ? !isSame : !isPart)
          wrong[`${scope} without ${name}`] = { isVisible, foretold, permissions }
      }
    } finally {
      await give()
    }
  }

  assert.deepEqual(said, Object.fromEntries(rights.map(({ name, says }) => [name, says])))
  assert.deepEqual(wrong, {}, 'what is asked beforehand is not what reading shows')
  assert.deepEqual(await saidBy(reader), before)
  return before
}
