import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import { accountResource, findTarget, loadAccountById, targetResource } from '../../catalog/catalog.ts'
import { findIdentity, identityResource } from '../../identities/identities.ts'
import { notFound } from '../../kernel/problem.ts'
import { abortRotation } from './abort.ts'
import { readMany, resumeMany, startMany } from './campaign.ts'
import { certifiedResource, certifyAccount, listCertifications } from './certify.ts'
import { configureRotation, handIn } from './configure.ts'
import { declareConsumer, listConsumers, withdrawConsumer } from './consumer-records.ts'
import * as contract from './contract.ts'
import { issueLocalSecret, revokeLocalSecret } from './local-secret.ts'
import type { RotationNeeds } from './needs.ts'
import { listObligations } from './obligations.ts'
import { reportLeak } from './occasions.ts'
import { listRotations, readRotationDetail, resumeRotation, rotationResource } from './reads.ts'
import { scheduleRotation, startRotation } from './start.ts'

/** `wake` tells this node's worker that a rotation was made due; other nodes look by themselves. */
type Needs = RotationNeeds & { readonly db: Db; readonly wake: () => void }

const REASON = { context: async () => ({ reasonGiven: true }) }

/** What the API offers of rotation. */
export function rotationRoutes(needs: Needs): Route[] {
  return [
    ...loginRoutes(needs),
    ...oneRoutes(needs),
    ...manyRoutes(needs),
    ...consumerRoutes(needs),
    ...localSecretRoutes(needs),
    ...certifyRoutes(needs),
  ]
}

function loginRoutes(needs: Needs): Route[] {
  const { db } = needs
  const ofAccount = accountOf(db)
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
    route(contract.configureRotation, {
      resource: ofAccount,
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => configureRotation(tx, needs, permit, input)),
    }),
    route(contract.reportLeak, {
      resource: ofAccount,
      ...REASON,
      run: ({ input }, permit) => woken(needs, () => transact(db, (tx) => reportLeak(tx, needs, permit, input))),
    }),
  ]
}

function oneRoutes(needs: Needs): Route[] {
  const { db } = needs
  const ofRotation = ({ params }: { readonly params: { readonly rotation: string } }) =>
    rotationResource(db, params.rotation)
  return [
    route(contract.listRotations, {
      resource: async () => installation(),
      run: ({ query }) => listRotations(db, query),
    }),
    route(contract.readRotation, {
      resource: ofRotation,
      run: ({ params }) => readRotationDetail(db, params.rotation),
    }),
    route(contract.resumeRotation, {
      resource: ofRotation,
      run: (_call, permit) => woken(needs, () => transact(db, (tx) => resumeRotation(tx, needs, permit))),
    }),
    route(contract.abortRotation, {
      resource: ofRotation,
      ...REASON,
      run: ({ input }, permit) => woken(needs, () => transact(db, (tx) => abortRotation(tx, needs, permit, input))),
    }),
    route(contract.handIn, {
      resource: ofRotation,
      // What is handed in says what it is for.
      ...REASON,
      run: ({ input }, permit) => woken(needs, () => transact(db, (tx) => handIn(tx, needs, permit, input))),
    }),
  ]
}

function manyRoutes(needs: Needs): Route[] {
  const { db } = needs
  const resource = async () => installation()
  return [
    route(contract.startMany, {
      resource,
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => startMany(tx, needs, permit, input)),
    }),
    route(contract.readMany, { resource, run: ({ params }) => readMany(db, params.campaign) }),
    route(contract.resumeMany, {
      resource,
      ...REASON,
      run: ({ params, input }, permit) => transact(db, (tx) => resumeMany(tx, needs, permit, params.campaign, input)),
    }),
    route(contract.listObligations, { resource, run: ({ query }) => listObligations(db, needs, query) }),
  ]
}

function consumerRoutes(needs: Needs): Route[] {
  const { db } = needs
  const ofAccount = accountOf(db)
  return [
    route(contract.declareConsumer, {
      resource: ofAccount,
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => declareConsumer(tx, needs, permit, input)),
    }),
    route(contract.withdrawConsumer, {
      resource: ofAccount,
      ...REASON,
      run: ({ params, input }, permit) =>
        transact(db, (tx) => withdrawConsumer(tx, needs, permit, params.consumer, input)),
    }),
    route(contract.listConsumers, {
      resource: ofAccount,
      run: ({ params, query }) => listConsumers(db, needs, params.account, query),
    }),
  ]
}

function localSecretRoutes(needs: Needs): Route[] {
  const { db } = needs
  // Whoever may give the workload a token may give it this.
  const resource = async ({ params }: { readonly params: { readonly identity: string } }) =>
    identityResource(db, await findIdentity(db, params.identity))
  return [
    route(contract.issueLocalSecret, {
      resource,
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => issueLocalSecret(tx, needs, permit, input)),
    }),
    route(contract.revokeLocalSecret, {
      resource,
      ...REASON,
      run: ({ params, input }, permit) =>
        transact(db, (tx) => revokeLocalSecret(tx, needs, permit, params.secret, input)),
    }),
  ]
}

function certifyRoutes(needs: Needs): Route[] {
  const { db } = needs
  return [
    route(contract.certifyAccount, {
      resource: ({ params }) => certifiedResource(db, needs, params.account),
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => certifyAccount(tx, needs, permit, input)),
    }),
    route(contract.listCertifications, {
      resource: accountOf(db),
      run: ({ params, query }) => listCertifications(db, params.account, query),
    }),
  ]
}

async function woken<T>({ wake }: Needs, change: () => Promise<T>): Promise<T> {
  const changed = await change()
  wake()
  return changed
}

function accountOf(db: Db) {
  return async ({ params }: { readonly params: { readonly account: string } }) => {
    const account = await loadAccountById(db, params.account)
    if (!account) throw notFound('There is no such account.', { type: 'Account', id: params.account })
    return accountResource(account, await findTarget(db, account.targetId))
  }
}
