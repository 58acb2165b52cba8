import { evaluateOwners, evaluateServices, lookWhenDue } from '../governance/governance.ts'
import { resolveInventory, type InventoryNeeds } from '../inventory/inventory.ts'
import { transact, type Connection, type Db } from '../kernel/db.ts'
import { SYSTEM } from '../ledger/ledger.ts'

/** What follows from what sources told, in its order: which identity it is, who might own it, and what it reaches. */
export function followInventory(
  db: Db,
  connection: Connection,
  needs: InventoryNeeds,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = needs
  const before = async () => {
    await transact(db, (tx) => resolveInventory(tx, needs, { actor: SYSTEM }))
    await transact(db, (tx) => evaluateOwners(tx, needs))
    await transact(db, (tx) => evaluateServices(tx, needs))
  }
  return lookWhenDue(db, { clock, connection, before }, signal)
}
