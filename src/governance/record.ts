import { z } from 'zod'
import type { Tx } from '../kernel/db.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'
import { standardLoaded } from './events.ts'
import type { Standard } from './standard.ts'

const Leaf = z.object({ facts: z.object({ sha256: z.string() }) })

/** Enters the standard into the ledger when it differs from the last one entered. */
export async function recordStandard(tx: Tx, needs: { readonly ledger: Ledger }, standard: Standard): Promise<void> {
  const last = await tx
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', standardLoaded.kind)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (last && Leaf.parse(JSON.parse(last.leaf.toString('utf8'))).facts.sha256 === standard.sha256) return
  await needs.ledger.record(tx, {
    event: standardLoaded,
    actor: SYSTEM,
    resource: { type: 'Installation', id: 'installation' },
    outcome: 'done',
    facts: { sha256: standard.sha256, version: standard.version },
  })
}
