import type { Db } from '../../kernel/db.ts'
import type { Route } from '../../kernel/http/route.ts'
import type { Seal } from '../../kernel/seal.ts'
import type { AccessNeeds } from '../needs.ts'

/** What commands about changes use. */
export type ChangeNeeds = Pick<AccessNeeds, 'clock' | 'ledger' | 'random' | 'teams' | 'decisions'> & {
  readonly db: Db
  readonly seal: Seal
  /** The route of an operation, by its id. */
  readonly routeOf: (operation: string) => Route | undefined
}
