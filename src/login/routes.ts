import { findIdentity, identityResource, mayKnowTokensOf } from '../identities/identities.ts'
import { transact, type Db } from '../kernel/db.ts'
import { linkTo } from '../kernel/entity.ts'
import { route, type Caller, type Resource, type Route } from '../kernel/http/route.ts'
import { idAfter, pageAfter, type Page } from '../kernel/page.ts'
import { notFound } from '../kernel/problem.ts'
import * as contract from './contract.ts'
import { createLoginLink, findLoginLink, listLoginLinks, retireLoginLink } from './links.ts'
import type { LoginNeeds } from './needs.ts'
import type { LoginSession } from './schemas.ts'
import { endLoginSession } from './sessions/end.ts'
import { SESSION_COLUMNS } from './sessions/open.ts'

/** The operations of this folder with what they do. */
export function loginRoutes(needs: LoginNeeds): Route[] {
  const { db } = needs
  const about = async ({ params, caller }: Named) => {
    const identity = await known(needs, params.identity, caller)
    return identityResource(db, identity)
  }
  return [
    route(contract.listLoginSessions, {
      resource: about,
      run: ({ query }, permit) => listLoginSessions(db, permit.resource.id, query),
    }),
    route(contract.endLoginSession, {
      resource: ({ params, caller }) => sessionResource(needs, params.session, caller),
      run: async ({ input }, permit) => {
        const ended = await transact(db, (tx) => endLoginSession(tx, needs, permit, input))
        needs.ring.flush()
        return ended
      },
    }),
    route(contract.createLoginLink, {
      // People know the inventory; nobody else gives people credentials.
      resource: async ({ params, caller }) => {
        if (caller.kind !== 'human') throw unknownPerson(params.identity)
        return identityResource(db, await findIdentity(db, params.identity))
      },
      preview: async ({ input, params }) => [
        `Whom ${input.provider} calls ${JSON.stringify(input.subject)} will log in as ${params.identity}.`,
      ],
      run: ({ input }, permit) => transact(db, (tx) => createLoginLink(tx, needs, permit, input)),
    }),
    route(contract.listLoginLinks, {
      resource: about,
      run: ({ query }, permit) => listLoginLinks(db, permit.resource.id, query),
    }),
    route(contract.retireLoginLink, {
      resource: ({ params, caller }) => linkResource(needs, params.link, caller),
      run: async ({ input }, permit) => {
        const retired = await transact(db, (tx) => retireLoginLink(tx, needs, permit, input))
        needs.ring.flush()
        return retired
      },
    }),
  ]
}

type Named = { readonly params: { readonly identity: string }; readonly caller: Caller }

function unknownPerson(id: string) {
  return notFound('There is no such identity.', { type: 'Identity', id })
}

/** Logins are known to whom tokens are: oneself, and those who may stop anything. */
async function known({ db, teams }: LoginNeeds, nameOrId: string, caller: Caller) {
  const identity = await findIdentity(db, nameOrId)
  if (!(await mayKnowTokensOf(db, teams, caller, identity))) throw unknownPerson(nameOrId)
  return identity
}

async function sessionResource(needs: LoginNeeds, id: string, caller: Caller): Promise<Resource> {
  const row = await needs.db.selectFrom('loginSession').select('identityId').where('id', '=', id).executeTakeFirst()
  const unknown = () => notFound('There is no such login.', { type: 'LoginSession', id })
  if (!row) throw unknown()
  return ofPerson(needs, { type: 'LoginSession', id, identityId: row.identityId }, caller, unknown)
}

async function linkResource(needs: LoginNeeds, id: string, caller: Caller): Promise<Resource> {
  const { identityId } = await findLoginLink(needs.db, id)
  const unknown = () => notFound('There is no such link.', { type: 'LoginLink', id })
  return ofPerson(needs, { type: 'LoginLink', id, identityId }, caller, unknown)
}

async function ofPerson(
  { db, teams }: LoginNeeds,
  { type, id, identityId }: { readonly type: string; readonly id: string; readonly identityId: string },
  caller: Caller,
  unknown: () => Error,
): Promise<Resource> {
  const identity = await findIdentity(db, identityId)
  if (!(await mayKnowTokensOf(db, teams, caller, identity))) throw unknown()
  const { ownerTeam } = identity
  const owner = ownerTeam === null ? {} : { ownerTeam: linkTo('Team', ownerTeam) }
  return { type, id, attributes: { id, subjectId: identityId, ...owner } }
}

async function listLoginSessions(
  db: Db,
  identityId: string,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<Page<LoginSession>> {
  const after = idAfter(query.cursor)
  let rows = db.selectFrom('loginSession').select(SESSION_COLUMNS).where('identityId', '=', identityId)
  if (after !== undefined) rows = rows.where('id', '>', after)
  const found = await rows
    .orderBy('id')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, ({ id }) => id)
}
