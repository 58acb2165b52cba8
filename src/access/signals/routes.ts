import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Caller, type Route } from '../../kernel/http/route.ts'
import { findIdentity } from '../../identities/identities.ts'
import type { Ends } from '../ends.ts'
import type { AccessNeeds } from '../needs.ts'
import * as contract from './contract.ts'
import { receiveSignal } from './receive.ts'
import { findSignal, listSignals, signalResource } from './records.ts'
import { withdrawSignal } from './withdraw.ts'

export type SignalNeeds = AccessNeeds & {
  readonly db: Db
  readonly ends: Pick<Ends, 'announceEnd'>
  /** Machines and workloads that report, by name. */
  readonly signalSenders: ReadonlySet<string>
}

/** The operations on signals with what they do. */
export function signalRoutes(needs: SignalNeeds): Route[] {
  const { db } = needs
  const isRegistered = ({ kind, name }: Pick<Caller, 'kind' | 'name'>) =>
    (kind === 'machine' || kind === 'workload') && needs.signalSenders.has(name)
  const one = async ({ params, caller }: { readonly params: { readonly signal: string }; readonly caller: Caller }) => {
    const { id, type, about, senderId, identityId } = await findSignal(db, params.signal)
    const subject = identityId === null ? undefined : await findIdentity(db, identityId)
    const isOwn = caller.id === senderId && isRegistered(caller)
    const { ownerTeam = null } = subject ?? {}
    return signalResource({ id, type, about, senderId, isRegistered: isOwn, subjectId: identityId, ownerTeam })
  }
  return [
    route(contract.receiveSignal, {
      // Whether the subject exists is not said before the sender may send.
      resource: async ({ caller, input }) =>
        signalResource({
          id: 'received',
          type: input.type,
          about: input.about,
          senderId: caller.id,
          isRegistered: isRegistered(caller),
        }),
      context: async () => ({ reasonGiven: true }),
      run: async ({ caller, input }, permit) => {
        const { signal, ended } = await transact(db, (tx) => receiveSignal(tx, needs, permit, { caller, input }))
        for (const each of ended) needs.ends.announceEnd(each)
        return signal
      },
    }),
    route(contract.listSignals, {
      resource: async () => installation(),
      run: ({ query }) => listSignals(db, needs.clock.now(), query),
    }),
    route(contract.readSignal, { resource: one, run: ({ params }) => findSignal(db, params.signal) }),
    route(contract.withdrawSignal, {
      resource: one,
      context: async () => ({ reasonGiven: true }),
      run: ({ input }, permit) => transact(db, (tx) => withdrawSignal(tx, needs, permit, input)),
    }),
  ]
}
