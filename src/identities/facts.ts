import type { Db } from '../kernel/db.ts'
import { soon, type Soon } from '../kernel/soon.ts'
import type { Kind, View } from '../kernel/view.ts'
import type { Caller } from '../kernel/http/route.ts'
import { AccessDetails } from './access-details.ts'
import type { Identity } from './contract.ts'
import { isBootstrap } from './record.ts'

/** What policies see of who acts, and nothing else of the record: the rest may be older than the row. */
export type Standing = Pick<
  Identity,
  'id' | 'kind' | 'name' | 'profile' | 'tier' | 'state' | 'environment' | 'ownerState' | 'isFounder'
>

/** A token with its identity, as authentication judges it. */
export type Proven = Pick<Caller, 'id' | 'name' | 'kind' | 'proofId'> & {
  readonly state: Identity['state']
  readonly expiresAt: Date
  readonly revokedAt: Date | null
  readonly identityExpiresAt: Date | null
  /** Of the key it is bound to, as hexadecimal. */
  readonly keySha256: string | null
  /** The same by DPoP. */
  readonly dpopKeySha256: string | null
  /** Of a token of the token service: how its holder proved itself, where it is good, for whom and for what. */
  readonly proof: Caller['proof'] | null
  readonly audience: string | null
  readonly onBehalfOfId: string | null
  readonly narrowedTo: AccessDetails | null
  /** The login it was given for, while that lasts. */
  readonly session: NonNullable<Caller['session']> | null
  readonly sessionEndedAt: Date | null
}

/** What a decision at the door takes of the shared record: from its rows, or from the view of them, which has most of it at hand. */
export type IdentityFacts = {
  identity(id: string): Soon<Standing | undefined>
  identityNamed(name: string): Soon<Standing | undefined>
  /** By the SHA-256 of a bearer token, as hexadecimal. */
  proven(tokenSha256: string): Soon<Proven | undefined>
  isBootstrap(): Soon<boolean>
}

const STANDING = ['id', 'kind', 'name', 'profile', 'tier', 'state', 'environment', 'ownerState', 'isFounder'] as const

/** As the rows say it now. */
export function identityFactsIn(db: Db): IdentityFacts {
  return {
    identity: (id) => loadStanding(db, 'id', id),
    identityNamed: (name) => loadStanding(db, 'name', name),
    proven: (tokenSha256) => loadProven(db, tokenSha256),
    isBootstrap: () => isBootstrap(db),
  }
}

/** As this node remembers it. */
export function identityFactsOf(view: View): IdentityFacts {
  const hintsOf: Kind<Standing>['hintsOf'] = ({ id }) => [`identity:${id}`]
  const byId = view.shelf<Standing>({ load: (db, id) => loadStanding(db, 'id', id), hintsOf })
  const byName = view.shelf<Standing>({ load: (db, name) => loadStanding(db, 'name', name), hintsOf })
  const tokens = view.shelf<Proven>({
    load: loadProven,
    hintsOf: ({ id, proofId }) => [`identity:${id}`, `token:${proofId}`],
  })
  const people = view.shelf<{ readonly isBootstrap: boolean }>({
    load: async (db) => ({ isBootstrap: await isBootstrap(db) }),
    hintsOf: () => ['people'],
  })
  return {
    identity: (id) => byId.read(id),
    identityNamed: (name) => byName.read(name),
    proven: (tokenSha256) => tokens.read(tokenSha256),
    isBootstrap: () => soon(people.read(''), isBeginning),
  }
}

function isBeginning(found: { readonly isBootstrap: boolean } | undefined): boolean {
  return found?.isBootstrap === true
}

function loadStanding(db: Db, by: 'id' | 'name', key: string): Promise<Standing | undefined> {
  return db.selectFrom('identity').select(STANDING).where(by, '=', key).executeTakeFirst()
}

async function loadProven(db: Db, tokenSha256: string): Promise<Proven | undefined> {
  const found = await db
    .selectFrom('apiToken')
    .innerJoin('identity', 'identity.id', 'apiToken.identityId')
    .leftJoin('loginSession', 'loginSession.id', 'apiToken.loginSessionId')
    .select([
      'loginSession.id as sessionId',
      'loginSession.authenticatedAt',
      'loginSession.acr',
      'loginSession.amr',
      'loginSession.endedAt as sessionEndedAt',
      'apiToken.id as proofId',
      'apiToken.expiresAt',
      'apiToken.revokedAt',
      'apiToken.keySha256',
      'apiToken.dpopKeySha256',
      'apiToken.proof',
      'apiToken.audience',
      'apiToken.onBehalfOfId',
      'apiToken.details',
      'identity.id',
      'identity.name',
      'identity.kind',
      'identity.state',
      'identity.expiresAt as identityExpiresAt',
    ])
    .where('apiToken.tokenSha256', '=', Buffer.from(tokenSha256, 'hex'))
    .executeTakeFirst()
  if (!found) return undefined
  const { details, keySha256, dpopKeySha256, sessionId, authenticatedAt, acr, amr, ...rest } = found
  const session =
    sessionId && authenticatedAt ? { id: sessionId, authTime: authenticatedAt, acr, amr: amr ?? [] } : null
  return {
    ...rest,
    session,
    keySha256: keySha256?.toString('hex') ?? null,
    dpopKeySha256: dpopKeySha256?.toString('hex') ?? null,
    narrowedTo: details === null ? null : AccessDetails.parse(details),
  }
}
