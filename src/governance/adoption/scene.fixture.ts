import type { TestContext } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import type { Observation } from '../../connectors/connector.ts'
import type { Identity } from '../../identities/contract.ts'
import { objectId } from '../../inventory/object-id.ts'
import { resolveInventory } from '../../inventory/inventory.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { evaluateOwners } from '../owners/evaluate.ts'
import { evaluateServices } from '../owners/services.ts'
import { adoptPrincipals, unadoptPrincipal } from './adopt.ts'
import { AdoptPrincipals } from './contract.ts'

/** A source that is the target `toys`, one that is only read, and what is done with what they tell. */
export async function adoptionScene(t: Pick<TestContext, 'after'>) {
  const i = await inventoryWorld(t)
  const { w } = i
  const founder = await w.founder()
  await w.target('toys')
  const alice = await w.person('alice')
  const bob = await w.person('bob')
  const sources = new Map<string, string>()
  const tell = async (authority: string, pages: Iterable<readonly Observation[]>) => {
    const toy = toySource()
    toy.authority = authority
    toy.scopes.set('all', pages)
    i.swap(toy.connector)
    const more = authority === 'toy:home' ? { target: 'toys', ownerTeam: 'security' } : {}
    const id = sources.get(authority) ?? (await i.source(toy.connector, {}, more))
    sources.set(authority, id)
    await i.collect(id)
  }
  const adopt = (input: object) =>
    adoptPrincipals(w.db, w.needs, w.permit('inventory.adopt', founder), AdoptPrincipals.parse(input))
  const unadopt = (identity: Pick<Identity, 'id'>) =>
    w.run((tx) =>
      unadoptPrincipal(tx, w.needs, w.permit('inventory.unadopt', founder, { type: 'Identity', id: identity.id }), {
        reason: 'taken in too soon',
      }),
    )
  const resolve = () => w.run((tx) => resolveInventory(tx, w.needs, { actor: SYSTEM }))
  const evaluate = () =>
    w.run(async (tx) => [await evaluateOwners(tx, w.needs), await evaluateServices(tx, w.needs)] as const)
  const counts = async () => [await i.count('identity'), await i.count('ledger_entry'), await i.count('adoption')]
  return { i, w, founder, alice, bob, tell, adopt, unadopt, resolve, evaluate, counts }
}

export const idOf = (authority: string, id: string) => objectId(authority, { kind: 'toy', id })
export const service = (id: string, more: object = {}) => toyPrincipal(id, { type: 'service', ...more })
