import { sha256 } from '../../kernel/crypto.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Db } from '../../kernel/db.ts'
import { newId } from '../../kernel/random.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { Claimed } from './claim.ts'
import { consumersSeen } from './events.ts'
import type { Keeper, RotationNeeds } from './needs.ts'
import type { Work } from './strategies/strategy.ts'

/** The names of what sources tell of are made here: what a source calls something is in the row and not in the ledger. */
export const KEPT_PREFIX = 'kept-'
const NAME_CHARS = 12
/** A source tells by its own clock; a login this soon after the change may have been before it. */
const SKEW_SECONDS = 60

/** The name of a place on the record. */
export function keptName({ id }: Pick<Keeper, 'id'>): string {
  return KEPT_PREFIX + sha256(id).toString('hex').slice(0, NAME_CHARS)
}

/** What sources tell of who keeps the secret of an account, now; nothing where no inventory is. */
export async function keepersOf(
  db: Db,
  { keepersOf: told }: Pick<RotationNeeds, 'keepersOf'>,
  { accountId, users }: { readonly accountId: string; readonly users: readonly string[] },
): Promise<readonly Keeper[]> {
  return (await told?.(db, accountId, users)) ?? []
}

/** Who would be cut off by a change that waits for nobody: places that are read now, and that nobody withdrew. */
export async function unheardKeepers(
  db: Db,
  needs: Pick<RotationNeeds, 'keepersOf'>,
  login: { readonly accountId: string; readonly user: string },
): Promise<string[]> {
  const told = await keepersOf(db, needs, { accountId: login.accountId, users: [login.user] })
  const rows = await rowsOf(db, login.accountId)
  return told
    .filter(({ id }) => !rows.some((row) => row.referenceId === id && row.withdrawnAt !== null))
    .map((each) => `${keptName(each)} (${each.source})`)
}

function rowsOf(db: Db, accountId: string) {
  return db
    .selectFrom('credentialConsumer')
    .select(['id', 'referenceId', 'location', 'seenOn', 'withdrawnAt'])
    .where('accountId', '=', accountId)
    .where('origin', '=', 'reference')
    .execute()
}

type Seen = { readonly told: Keeper; readonly rowId: string | undefined; readonly loggedInAt: Date | undefined }

/**
 * Every place that sources tell of is a consumer, and was seen with the new secret when a source told of a login of it with that. A person's word
 * that a place is done counts when it was given after there was something to take up. Returns those that sources tell of now.
 */
export async function noteKeepers({ db, needs }: Work, at: Claimed): Promise<ReadonlySet<string>> {
  const { accountId } = at
  if (accountId === null || !needs.keepersOf) return new Set()
  const told = await keepersOf(db, needs, { accountId, users: [...new Set([at.principal, at.nextUser])] })
  const rows = await rowsOf(db, accountId)
  const isDone = ({ id }: Keeper) =>
    rows.some(
      (row) =>
        row.referenceId === id && row.withdrawnAt && at.distributedAt !== null && row.withdrawnAt > at.distributedAt,
    )
  const waited = told.filter((each) => !isDone(each))
  const news = waited.flatMap((each): Seen[] => {
    const row = rows.find(({ referenceId, withdrawnAt }) => referenceId === each.id && withdrawnAt === null)
    const loggedInAt = row?.seenOn === at.id ? undefined : takenUpAt(each, at)
    const isNews = !row || loggedInAt !== undefined || row.location !== each.location
    return isNews ? [{ told: each, rowId: row?.id, loggedInAt }] : []
  })
  if (news.length > 0) await noteNews(db, needs, { accountId, rotationId: at.id, news })
  return new Set(waited.map(({ id }) => id))
}

/** When it came in with the new secret, as a source told; undefined: that was not told. */
function takenUpAt({ logins }: Keeper, { nextUser, distributedAt }: Claimed): Date | undefined {
  if (distributedAt === null) return undefined
  const from = secondsAfter(distributedAt, SKEW_SECONDS)
  return logins.find((login) => login.user === nextUser && login.at > from)?.at
}

type News = { readonly accountId: string; readonly rotationId: string; readonly news: readonly Seen[] }

async function noteNews(db: Db, needs: RotationNeeds, { accountId, rotationId, news }: News): Promise<void> {
  await transact(db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: consumersSeen,
      actor: SYSTEM,
      resource: { type: 'Rotation', id: rotationId },
      outcome: 'done',
      facts: {
        onNew: news.flatMap(({ told, loggedInAt }) => (loggedInAt ? [keptName(told)] : [])),
        strangers: news.flatMap(({ told, rowId }) => (rowId === undefined ? [keptName(told)] : [])).slice(0, 100),
      },
    })
    for (const { told, rowId, loggedInAt } of news) {
      const read = { source: told.source, location: told.location, readAt: told.readAt, cause }
      const seen = loggedInAt ? { seenAt: loggedInAt, seenOn: rotationId } : {}
      if (rowId !== undefined) {
        await tx
          .updateTable('credentialConsumer')
          .set({ ...read, ...seen })
          .where('id', '=', rowId)
          .execute()
        continue
      }
      const id = newId(needs.clock, needs.random)
      const row = { id, accountId, name: keptName(told), origin: 'reference', referenceId: told.id } as const
      await tx
        .insertInto('credentialConsumer')
        .values({ ...row, ...read, ...seen })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    }
  })
}
