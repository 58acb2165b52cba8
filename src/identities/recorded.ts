import { sql } from 'kysely'
import type { Db } from '../kernel/db.ts'
import { soon, type Soon } from '../kernel/soon.ts'
import type { Kind, View } from '../kernel/view.ts'
import type { Identity } from './contract.ts'
import { enrolledSql } from './entities.ts'

/** Of an identity what its credentials, and the decisions about them, depend on; a hint tells of each change of it. */
export type Recorded = Pick<Identity, (typeof COLUMNS)[number]> & {
  /** Whether it ever had a way to prove itself. */
  readonly enrolled: boolean
}

const COLUMNS = [
  'id',
  'kind',
  'name',
  'profile',
  'environment',
  'tier',
  'state',
  'ownerTeam',
  'ownerId',
  'ownerState',
  'ownerProposedBy',
  'sponsorId',
  'isFounder',
  'expiresAt',
] as const

/** Identities by id or by name; an id wins, as in `findIdentity`. */
export type RecordedIdentities = { find(nameOrId: string): Soon<Recorded | undefined> }

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** As this node remembers them. */
export function recordedIdentitiesOf(view: View, db: Db): RecordedIdentities {
  const shelf = view.shelf<Recorded>(ENROLLED)
  // The first way to prove itself is told by no hint, so an identity without one is looked at each time.
  return { find: (nameOrId) => soon(shelf.read(nameOrId), (found) => found ?? load(db, nameOrId)) }
}

const ENROLLED: Kind<Recorded> = {
  load: async (db, nameOrId) => {
    const found = await load(db, nameOrId)
    return found?.enrolled === true ? found : undefined
  },
  hintsOf: ({ id }) => [`identity:${id}`],
}

async function load(db: Db, nameOrId: string): Promise<Recorded | undefined> {
  return (UUID.test(nameOrId) ? await loadBy(db, 'id', nameOrId) : undefined) ?? loadBy(db, 'name', nameOrId)
}

function loadBy(db: Db, column: 'id' | 'name', key: string): Promise<Recorded | undefined> {
  return db
    .selectFrom('identity')
    .select(COLUMNS)
    .select(enrolledSql(sql.ref('identity.id')).as('enrolled'))
    .where(column, '=', key)
    .executeTakeFirst()
}
