import { listAccounts, listPurposes, listTargets, loadTargetByName } from '../../catalog/catalog.ts'
import { ENTITY_TYPES, listIdentities } from '../../identities/identities.ts'
import type { Db } from '../../kernel/db.ts'
import { encodeCursor } from '../../kernel/http/cursor.ts'
import { isOfRecord } from './facts.ts'
import type { Vocabulary } from './vocabulary.ts'

/** Somebody or something a search could find, by the name under which an evaluation takes it. Keys only grow. */
export type Candidate = { readonly key: string; readonly id: string }

const KINDS = new Map(
  (['human', 'machine', 'workload', 'agent'] as const).map((kind) => [ENTITY_TYPES[kind] as string, kind]),
)
const AT_ONCE = 200

/** All of a type behind a key, as they stand now. A type that nobody lists has none (§8: an empty result, no error). */
export function candidatesOf(
  db: Db,
  vocabulary: Vocabulary,
  type: string,
  after: string,
): AsyncIterable<Candidate> | Iterable<Candidate> {
  const listed = isOfRecord(type) ? undefined : vocabulary.listed(type)
  if (listed) return listedAfter([...listed.keys()], after)
  const kind = KINDS.get(type)
  if (kind) return paged(after, (cursor) => listIdentities(db, { kind, state: 'active', cursor, limit: AT_ONCE }))
  switch (type) {
    case 'Identity':
      return paged(after, (cursor) => listIdentities(db, { cursor, limit: AT_ONCE }))
    case 'Target':
      return paged(after, (cursor) => listTargets(db, { state: 'active', cursor, limit: AT_ONCE }))
    case 'Purpose':
      return paged(after, (cursor) => listPurposes(db, { cursor, limit: AT_ONCE }))
    case 'Account':
      return accountsAfter(db, after)
    default:
      return []
  }
}

function listedAfter(ids: readonly string[], after: string): Candidate[] {
  return ids
    .filter((id) => id > after)
    .sort()
    .map((id) => ({ key: id, id }))
}

type Listing = (
  cursor: string | undefined,
) => Promise<{ readonly items: readonly { readonly name: string }[]; readonly nextCursor: string | null }>

async function* paged(after: string, list: Listing): AsyncGenerator<Candidate> {
  let cursor = after === '' ? undefined : encodeCursor([after])
  for (;;) {
    const { items, nextCursor } = await list(cursor)
    for (const { name } of items) yield { key: name, id: name }
    if (nextCursor === null) return
    cursor = nextCursor
  }
}

/** Accounts target by target; a key is the target's name, a line end, and the account's. */
async function* accountsAfter(db: Db, after: string): AsyncGenerator<Candidate> {
  const [target = '', account = ''] = after.split('\n')
  const begun = target === '' ? undefined : await loadTargetByName(db, target)
  if (begun) yield* accountsOf(db, begun, account)
  const rest = paged(target, (cursor) => listTargets(db, { state: 'active', cursor, limit: AT_ONCE }))
  for await (const { id } of rest) {
    const next = await loadTargetByName(db, id)
    if (next) yield* accountsOf(db, next, '')
  }
}

async function* accountsOf(
  db: Db,
  target: { readonly id: string; readonly name: string },
  after: string,
): AsyncGenerator<Candidate> {
  for await (const { id } of paged(after, (cursor) => listAccounts(db, target.id, { cursor, limit: AT_ONCE }))) {
    yield { key: `${target.name}\n${id}`, id: `${id}@${target.name}` }
  }
}
