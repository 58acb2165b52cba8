import { transact } from '../kernel/db.ts'
import type { Clock } from '../kernel/clock.ts'
import { installation, route, type Route } from '../kernel/http/route.ts'
import {
  endSession,
  followSession,
  listSessions as listOperation,
  playSession,
  readSession,
  revealSession,
  verifySession,
} from './contract.ts'
import { follow, play, reveal, verify, type PlayNeeds } from './play.ts'
import { findSession, listSessions, sessionResource } from './records.ts'
import { stopSession } from './stop.ts'

/** The API of sessions. */
export function sessionRoutes(needs: PlayNeeds & { readonly clock: Clock }): Route[] {
  const { db } = needs
  const resource = (call: { params: { session: string } }) => sessionResource(db, call.params.session)
  const because = async (call: { input: { reason: string } }) => ({ reasonGiven: call.input.reason !== '' })
  return [
    route(listOperation, {
      resource: async () => installation(),
      run: (call) => listSessions(db, call.query),
    }),
    route(readSession, { resource, run: (call) => findSession(db, call.params.session) }),
    route(endSession, {
      resource,
      context: because,
      run: (call, permit) => transact(db, (tx) => stopSession(tx, needs, permit, call.input.reason)),
    }),
    route(playSession, { resource, run: (call) => play(needs, call.params.session) }),
    route(revealSession, {
      resource,
      context: because,
      run: (call, permit) => reveal(needs, permit, call.input.reason),
    }),
    route(followSession, { resource, run: async (call) => follow(needs, call.params.session, call.signal) }),
    route(verifySession, { resource, run: (call) => verify(needs, call.params.session) }),
  ]
}
