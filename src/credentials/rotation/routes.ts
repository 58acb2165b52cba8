import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import { accountResource, findTarget, loadAccountById, targetResource } from '../../catalog/catalog.ts'
import { notFound } from '../../kernel/problem.ts'
import { certifiedResource, certifyAccount, listCertifications } from './certify.ts'
import * as contract from './contract.ts'
import type { RotationNeeds } from './needs.ts'
import { listRotations, readRotation, retryRotation, rotationResource } from './reads.ts'
import { scheduleRotation, startRotation } from './start.ts'

/** `wake` tells this node's worker that a rotation was made due; other nodes look by themselves. */
type Needs = RotationNeeds & { readonly db: Db; readonly wake: () => void }

const REASON = { context: async () => ({ reasonGiven: true }) }

/** What the API offers of rotation. */
export function rotationRoutes(needs: Needs): Route[] {
  const { db } = needs
  const ofAccount = ({ params }: { readonly params: { readonly account: string } }) => resourceOf(db, params.account)
  const ofTarget = async ({ params }: { readonly params: { readonly target: string } }) =>
    targetResource(await findTarget(db, params.target))
  return [
    route(contract.startRotation, {
      resource: ofAccount,
      ...REASON,
      run: ({ input }, permit) => woken(needs, () => transact(db, (tx) => startRotation(tx, needs, permit, input))),
    }),
    route(contract.startProvisionerRotation, {
      resource: ofTarget,
      ...REASON,
      run: ({ input }, permit) => woken(needs, () => transact(db, (tx) => startRotation(tx, needs, permit, input))),
    }),
    route(contract.scheduleRotation, {
      resource: ofAccount,
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => scheduleRotation(tx, needs, permit, input)),
    }),
    route(contract.scheduleProvisionerRotation, {
      resource: ofTarget,
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => scheduleRotation(tx, needs, permit, input)),
    }),
    route(contract.listRotations, {
      resource: async () => installation(),
      run: ({ query }) => listRotations(db, query),
    }),
    route(contract.readRotation, {
      resource: ({ params }) => rotationResource(db, params.rotation),
      run: ({ params }) => readRotation(db, params.rotation),
    }),
    route(contract.retryRotation, {
      resource: ({ params }) => rotationResource(db, params.rotation),
      run: (_call, permit) => woken(needs, () => transact(db, (tx) => retryRotation(tx, needs, permit))),
    }),
    route(contract.certifyAccount, {
      resource: ({ params }) => certifiedResource(db, needs, params.account),
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => certifyAccount(tx, needs, permit, input)),
    }),
    route(contract.listCertifications, {
      resource: ofAccount,
      run: ({ params, query }) => listCertifications(db, params.account, query),
    }),
  ]
}

async function woken<T>({ wake }: Needs, change: () => Promise<T>): Promise<T> {
  const changed = await change()
  wake()
  return changed
}

async function resourceOf(db: Db, id: string) {
  const account = await loadAccountById(db, id)
  if (!account) throw notFound('There is no such account.', { type: 'Account', id })
  return accountResource(account, await findTarget(db, account.targetId))
}
