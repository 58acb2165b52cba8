import { catalogFactsIn, catalogFactsOf, type CatalogFacts } from '../catalog/catalog.ts'
import { identityFactsIn, identityFactsOf, type IdentityFacts } from '../identities/identities.ts'
import type { Db } from '../kernel/db.ts'
import type { View } from '../kernel/view.ts'

/** What decisions at the door take of the shared record. */
export type RecordFacts = IdentityFacts & CatalogFacts

/** As a node remembers it. */
export function recordFactsOf(view: View): RecordFacts {
  return { ...identityFactsOf(view), ...catalogFactsOf(view) }
}

/** What is remembered, where something is and nobody is in the middle of a change: a transaction sees its own rows. */
export function recordFactsFor(db: Db, remembered: RecordFacts | undefined): RecordFacts {
  if (remembered && !db.isTransaction) return remembered
  return { ...identityFactsIn(db), ...catalogFactsIn(db) }
}
