import type { Db } from '../kernel/db.ts'
import type { Soon } from '../kernel/soon.ts'
import type { Kind, View } from '../kernel/view.ts'
import { loadActions } from './actions.ts'
import { isId } from './records.ts'
import { loadPurpose, loadPurposeByName } from './purpose-records.ts'
import type { Account, ActionEntry, Purpose, Target } from './schemas.ts'

/** What policies see of a target, and nothing else of the record: the rest may be older than the row. */
export type TargetFacts = Pick<
  Target,
  'id' | 'name' | 'protocol' | 'environment' | 'sensitivity' | 'ownerTeam' | 'state'
>
export type AccountFacts = Pick<Account, 'id' | 'targetId' | 'name' | 'tier' | 'state'>
/** What a purpose covers, and until when. */
export type PurposeFacts = Pick<Purpose, 'id' | 'name' | 'state' | 'actions' | 'targets' | 'expiresAt'>

/** What a decision at the door takes of the catalog: from its rows, or from the view of them. */
export type CatalogFacts = {
  target(id: string): Soon<TargetFacts | undefined>
  targetNamed(name: string): Soon<TargetFacts | undefined>
  account(id: string): Soon<AccountFacts | undefined>
  accountNamed(targetId: string, name: string): Soon<AccountFacts | undefined>
  /** By id or by name; an id wins. */
  purpose(nameOrId: string): Soon<PurposeFacts | undefined>
  action(name: string): Soon<ActionEntry | undefined>
}

const TARGET = ['id', 'name', 'protocol', 'environment', 'sensitivity', 'ownerTeam', 'state'] as const
const ACCOUNT = ['id', 'targetId', 'name', 'tier', 'state'] as const

/** As the rows say it now. */
export function catalogFactsIn(db: Db): CatalogFacts {
  return {
    target: (id) => targetBy(db, 'id', id),
    targetNamed: (name) => targetBy(db, 'name', name),
    account: (id) => accountById(db, id),
    accountNamed: (targetId, name) => accountByName(db, accountKey(targetId, name)),
    purpose: (nameOrId) => purposeBy(db, nameOrId),
    action: (name) => actionBy(db, name),
  }
}

/** As this node remembers it. */
export function catalogFactsOf(view: View): CatalogFacts {
  const ofTarget: Kind<TargetFacts>['hintsOf'] = ({ id }) => [`target:${id}`]
  const targets = view.shelf<TargetFacts>({ load: (db, id) => targetBy(db, 'id', id), hintsOf: ofTarget })
  const targetNames = view.shelf<TargetFacts>({ load: (db, name) => targetBy(db, 'name', name), hintsOf: ofTarget })
  const ofAccount: Kind<AccountFacts>['hintsOf'] = ({ id }) => [`account:${id}`]
  const accounts = view.shelf<AccountFacts>({ load: accountById, hintsOf: ofAccount })
  const accountNames = view.shelf<AccountFacts>({ load: accountByName, hintsOf: ofAccount })
  const purposes = view.shelf<PurposeFacts>({ load: purposeBy, hintsOf: ({ id }) => [`purpose:${id}`] })
  const actions = view.shelf<ActionEntry>({ load: actionBy, hintsOf: () => ['actions'] })
  return {
    target: (id) => targets.read(id),
    targetNamed: (name) => targetNames.read(name),
    account: (id) => accounts.read(id),
    accountNamed: (targetId, name) => accountNames.read(accountKey(targetId, name)),
    purpose: (nameOrId) => purposes.read(nameOrId),
    action: (name) => actions.read(name),
  }
}

/** Whether a purpose is approved and still runs at `now`, and names this target and every one of these actions. */
export function isCovered(
  { state, expiresAt, targets, actions }: PurposeFacts,
  targetId: string,
  wanted: readonly string[],
  now: Date,
): boolean {
  if (state !== 'approved' || expiresAt <= now || wanted.length === 0 || !targets.includes(targetId)) return false
  return wanted.every((action) => actions.includes(action))
}

function targetBy(db: Db, by: 'id' | 'name', key: string): Promise<TargetFacts | undefined> {
  return db.selectFrom('target').select(TARGET).where(by, '=', key).executeTakeFirst()
}

function accountById(db: Db, id: string): Promise<AccountFacts | undefined> {
  return db.selectFrom('account').select(ACCOUNT).where('id', '=', id).executeTakeFirst()
}

/** An id has no line break, so no two accounts share a key. */
function accountKey(targetId: string, name: string): string {
  return `${targetId}\n${name}`
}

function accountByName(db: Db, key: string): Promise<AccountFacts | undefined> {
  const at = key.indexOf('\n')
  return db
    .selectFrom('account')
    .select(ACCOUNT)
    .where('targetId', '=', key.slice(0, at))
    .where('name', '=', key.slice(at + 1))
    .executeTakeFirst()
}

async function purposeBy(db: Db, nameOrId: string): Promise<PurposeFacts | undefined> {
  return (isId(nameOrId) ? await loadPurpose(db, nameOrId) : undefined) ?? loadPurposeByName(db, nameOrId)
}

async function actionBy(db: Db, name: string): Promise<ActionEntry | undefined> {
  const [entry] = await loadActions(db, [name])
  return entry
}
