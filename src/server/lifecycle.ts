import { readFile } from 'node:fs/promises'
import { sql } from 'kysely'
import { END_CHANNEL, type EndNeeds } from '../access/access.ts'
import type { IdentityNeeds } from '../identities/identities.ts'
import type { Config } from '../kernel/config.ts'
import type { Tx } from '../kernel/db.ts'
import type { Door } from '../kernel/http/door.ts'
import type { Deciders } from '../kernel/http/handle.ts'
import type { Route } from '../kernel/http/route.ts'
import { Secret } from '../kernel/secret.ts'
import { every } from '../kernel/timer.ts'
import {
  advanceCases,
  lifecycleRoutes,
  openCursors,
  scimDoor,
  sweepDates,
  webhookDoor,
  type LifecycleNeeds,
} from '../lifecycle/lifecycle.ts'
import { notSeenBy, usersOf } from './consumers.ts'
import { GROUPS_HINT } from './groups.ts'
import type { DomainParts } from './parts.ts'

/** How often cases are carried on, and dates looked at. */
const CASES_MS = 2_000
/** Webhooks of nobody can be signed with less. */
const LEAST_SECRET = 24

export type OpenLifecycle = {
  readonly needs: LifecycleNeeds
  readonly routes: readonly Route[]
  readonly doors: (deciders: Deciders) => readonly Door[]
}

export async function openLifecycle(
  parts: DomainParts,
  base: IdentityNeeds & EndNeeds & Pick<LifecycleNeeds, 'origin'>,
): Promise<OpenLifecycle> {
  const { config, ground, log, stop } = parts
  const { db, seal } = ground
  const { providers, senders, soakDays } = config.lifecycle
  const hint = async (tx: Tx, text: string) => {
    await sql`select pg_notify(${END_CHANNEL}, ${text})`.execute(tx)
  }
  const needs = {
    ...base,
    log,
    soakDays,
    usersOf: usersOf(base.clock),
    notSeen: notSeenBy(base.clock),
    providers: new Set(providers),
    senders: new Set(senders),
    onGroupsChanged: (tx: Tx) => hint(tx, GROUPS_HINT),
    onMoved: (tx: Tx, personId: string) => hint(tx, `identity:${personId}`),
  }
  const secrets = await secretsOf(config)
  if (config.node.roles.includes('worker')) stop.add('cases', carryingOn(parts, needs))
  return {
    needs,
    routes: lifecycleRoutes({ ...needs, db }),
    doors: (deciders) => [
      scimDoor({ ...needs, db, cursors: openCursors(seal), deciders: () => deciders }),
      webhookDoor({ ...needs, db, secrets, deciders: () => deciders }),
    ],
  }
}

function carryingOn({ ground, log }: DomainParts, needs: Parameters<typeof advanceCases>[1]): AsyncDisposable {
  let running: Promise<void> | undefined
  const work = async () => {
    await sweepDates(ground.db, needs)
    await advanceCases(ground.db, needs)
  }
  const timer = every(CASES_MS, () => {
    running ??= work()
      .catch((error: unknown) => log.warn({ err: error }, 'cases could not be carried on and are tried again'))
      .finally(() => {
        running = undefined
      })
  })
  return {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await running
    },
  }
}

async function secretsOf({ lifecycle }: Config): Promise<ReadonlyMap<string, Secret>> {
  const secrets = new Map<string, Secret>()
  for (const { sender, secretFile } of lifecycle.webhooks) {
    const text = (await readFile(secretFile, 'utf8')).trim()
    if (text.length < LEAST_SECRET)
      throw new Error(`the webhook secret of ${sender} has less than ${LEAST_SECRET} characters`)
    secrets.set(sender, new Secret(text))
  }
  return secrets
}
