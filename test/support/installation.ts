import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { doorOf, type Door } from '../../demo/database-client.ts'
import { writeConfig } from '../../demo/files.ts'
import { enrolCast, enrolFounder, nobody, type Cast } from '../../demo/people.ts'
import { startProduction, type Production } from '../../demo/production.ts'
import { SHOP_ACCOUNT, shopPurposes, shopTarget } from '../../demo/register.ts'
import { approvePurpose, proposePurpose, registerAccount, registerTarget } from '../../src/catalog/contract.ts'
import { openClient, type Client } from '../../src/cli/client.ts'
import { loadConfig } from '../../src/kernel/config.ts'
import type { Connection } from '../../src/kernel/db.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { startServer, type RunningServer } from '../../src/server.ts'
import { freshDatabase, type TestDatabase } from './database.ts'

/** A whole server on a database of its own, reached as everybody reaches it. */
export type Site = {
  readonly server: RunningServer
  readonly database: TestDatabase
  readonly folder: string
  readonly config: string
  readonly door: Door
  /** Whoever proves nothing. */
  readonly nobody: Client
}

/** The same with the people of the demo, and their production registered with its account and purposes. */
export type Installation = Site & { readonly cast: Cast; readonly production: Production }

/** A test, or a file that cleans up by itself. */
export type Cleaning = { after(work: () => unknown): void }

/** For `before` of a whole file, whose own hooks would run too early: `after(() => cleaning.now())`. */
export function cleaningOfFile(): Cleaning & { now(): Promise<void> } {
  const works: (() => unknown)[] = []
  return {
    after: (work) => void works.push(work),
    now: async () => {
      for (const work of works) await work()
    },
  }
}

/** Starts the real server, in this process, on a clone of the test template: nothing of it is left when the test ends. */
export async function site(t: Cleaning, more: Readonly<Record<string, unknown>> = {}): Promise<Site> {
  const undo = cleanupOf(t)
  const folder = mkdtempSync(join(tmpdir(), 'reeve-site-'))
  undo(() => rmSync(folder, { recursive: true, force: true }))
  // As root the databases run under another uid, which must be able to pass through.
  chmodSync(folder, 0o711)
  const database = await freshDatabase({ after: undo })
  const config = writeConfig(folder, {
    home: join(folder, 'home'),
    database: { url: urlOf(database.server) },
    limits: { requestsPerSecond: 10_000, requestBurst: 10_000 },
    spiffe: { trustDomain: 'example.org' },
    authzen: { drafts: true },
    lifecycle: { senders: ['forge'] },
    login: { providers: [{ name: 'idp', issuer: 'https://idp.example.org', clientId: 'reeve' }] },
    ...more,
  })
  const server = await startServer(loadConfig({ env: {}, workingFolder: folder, file: config }), silentLog)
  undo(() => server[Symbol.asyncDispose]())
  return { server, database, folder, config, door: doorOf(server), nobody: openClient(nobody(server)) }
}

/** The founder alone. */
export async function founded(
  t: Cleaning,
  more: Readonly<Record<string, unknown>> = {},
): Promise<Site & { readonly ada: Client }> {
  const made = await site(t, more)
  return { ...made, ada: await enrolFounder(made.server) }
}

/** A site with everybody in the demo enrolled and its production registered. */
export async function installation(
  t: Cleaning,
  options: {
    readonly orders?: number
    readonly binFolder?: string
    readonly policies?: string
    readonly more?: Readonly<Record<string, unknown>>
  } = {},
): Promise<Installation> {
  const { policies, more = {} } = options
  const made = await site(t, { ...more, ...(policies !== undefined && { policies }) })
  const production = await startProduction(made.folder, { orders: 100, ...options })
  t.after(() => production[Symbol.asyncDispose]())
  const cast = await enrolCast(made.server)
  await cast.ada.ask(registerTarget, { input: shopTarget(production) })
  await cast.bob.ask(registerAccount, { params: { target: 'shop-db' }, input: SHOP_ACCOUNT })
  for (const input of shopPurposes()) {
    await cast.bob.ask(proposePurpose, { input })
    await cast.carol.ask(approvePurpose, { params: { purpose: input.name } })
  }
  return { ...made, cast, production }
}

/** Hooks of node:test run in the order they were given; what was started last must stop first. */
function cleanupOf(t: Cleaning): (work: () => unknown) => void {
  const works: (() => unknown)[] = []
  t.after(async () => {
    for (const work of works.toReversed()) await work()
  })
  return (work) => void works.push(work)
}

function urlOf({ host, port, user, password, database }: Connection): string {
  const url = new URL(`postgresql://localhost/${database}`)
  url.username = user
  url.password = encodeURIComponent(password.reveal())
  url.searchParams.set('host', host)
  url.searchParams.set('port', String(port))
  return url.href
}
