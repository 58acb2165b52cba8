import type { z } from 'zod'
import type { Db } from '../kernel/db.ts'
import { transact } from '../kernel/db.ts'
import { installation, route, type Caller, type Route } from '../kernel/http/route.ts'
import type { Permit } from '../kernel/permit.ts'
import * as contract from './contract.ts'
import { findEntry, listLedger, proveCause, revealEntry } from './entries.ts'
import type { Ledger } from './entry.ts'
import type { Fact, Needs } from './fact.ts'
import { listLogs } from './logs.ts'
import { exportLogs } from './read.ts'
import { bundleOf, lastSigned, noteOf, tileOf } from './tiles.ts'
import { writeExport } from './tree/export.ts'
import { formatVerifierKey } from './tree/note.ts'

/** What the API offers of the ledger. */
export function ledgerRoutes(needs: Needs & { readonly db: Db; readonly ledger: Ledger }): Route[] {
  const { db } = needs
  const resource = async () => installation('Ledger')
  return [
    route(contract.listEntries, { resource, run: ({ query }) => listLedger(db, query) }),
    route(contract.readEntry, { resource, run: ({ params }) => findEntry(db, params.entry) }),
    route(contract.proveEntry, { resource, run: ({ params }) => proveCause(db, params.entry) }),
    route(contract.readCheckpoint, { resource, run: () => readCheckpoint(db) }),
    route(contract.listKeys, { resource, run: () => readKeys(db) }),
    route(contract.readNote, { resource, run: ({ params }) => noteOf(db, params) }),
    route(contract.readTile, { resource, run: ({ params }) => tileOf(db, params) }),
    route(contract.readBundle, { resource, run: ({ params }) => bundleOf(db, params) }),
    route(contract.exportLedger, { resource, run: async () => exportLines(db) }),
    route(contract.revealEntry, {
      resource,
      run: ({ params, input, caller }, permit) =>
        transact(db, (tx) =>
          revealEntry(tx, needs, actOf(permit, caller), { entryId: params.entry, reason: input.reason }),
        ),
    }),
  ]
}

function actOf(permit: Permit, caller: Caller): Pick<Fact, 'actor' | 'onBehalfOf' | 'action' | 'decision'> {
  return {
    actor: { id: caller.id, kind: caller.kind },
    onBehalfOf: permit.onBehalfOf.map(({ id }) => id),
    action: permit.action,
    decision: { id: permit.decisionId, policyVersion: permit.policyEpoch },
  }
}

async function readCheckpoint(db: Db): Promise<z.output<typeof contract.LogCheckpoint>> {
  const logs = await listLogs(db)
  for (const log of logs.toReversed()) {
    const signed = await lastSigned(db, log)
    if (signed) return { origin: log.origin, ...signed }
  }
  throw contract.nothingSigned('The log has no entries yet.', { entryId: null })
}

async function readKeys(db: Db): Promise<{ items: z.output<typeof contract.LogKey>[] }> {
  const logs = await listLogs(db)
  return {
    items: logs.map(({ id, origin, key, startedAt }) => ({ log: id, origin, key: formatVerifierKey(key), startedAt })),
  }
}

/** The export line by line, as the router sends it. */
export async function* exportLines(db: Db): AsyncGenerator<z.output<typeof contract.ExportLine>> {
  for await (const piece of writeExport(exportLogs(db))) {
    for (const line of piece.split('\n')) if (line !== '') yield contract.ExportLine.parse(JSON.parse(line))
  }
}
