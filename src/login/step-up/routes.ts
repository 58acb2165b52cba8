import { findIdentity, identityResource } from '../../identities/identities.ts'
import { route, type Resource, type Route } from '../../kernel/http/route.ts'
import type { StepUps } from '../../kernel/http/step-up.ts'
import { notFound } from '../../kernel/problem.ts'
import { askStepUp } from './ask.ts'
import * as contract from './contract.ts'
import type { StepUpNeeds } from './needs.ts'
import { redeemStepUp } from './redeem.ts'
import { codeOf, findStepUp, stepUpFrom, waitingFor, type StepUpRow } from './rows.ts'

/** How the router asks people for fresh proofs, and lets calls through that come with one. */
export function stepUpsOf(needs: StepUpNeeds): StepUps {
  return {
    output: contract.StepUp,
    ask: (asked, changeId) => askStepUp(needs, asked, changeId),
    redeem: (asked, changeId, id) => redeemStepUp(needs, asked, changeId, id),
  }
}

export function stepUpRoutes(needs: Omit<StepUpNeeds, 'bindCall'>): Route[] {
  const { db, clock, seal } = needs
  return [
    route(contract.listStepUps, {
      resource: async ({ caller }) => identityResource(db, await findIdentity(db, caller.id)),
      run: async (_call, permit) => {
        const rows = await waitingFor(db, permit.resource.id, clock.now())
        return { items: rows.map((row) => stepUpFrom(needs, row, codeOf(seal, row))) }
      },
    }),
    route(contract.readStepUp, {
      resource: async ({ params }) => stepUpResource(await known(needs, params.stepUp)),
      run: async (_call, permit) => stepUpFrom(needs, await known(needs, permit.resource.id), null),
    }),
  ]
}

async function known({ db }: Pick<StepUpNeeds, 'db'>, id: string): Promise<StepUpRow> {
  const row = await findStepUp(db, id)
  if (!row) throw notFound('There is no such step-up.', { type: 'StepUp', id })
  return row
}

/** What policies know of a step-up. */
function stepUpResource({ id, personId, askerId }: StepUpRow): Resource {
  return { type: 'StepUp', id, attributes: { id, personId, askerId } }
}
