import type { TestContext } from 'node:test'
import { z } from 'zod'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { known, unknown, type Observation } from '../../connectors/connector.ts'
import { lookAtGraph } from './look.ts'
import { readReach, walkToTier0 } from './paths.ts'

const NOTHING = unknown('unsupported')
export const toy = (id: string, authority?: string) => ({
  kind: 'toy',
  id,
  ...(authority !== undefined && { authority }),
})
type Level = 'use' | 'read' | 'write' | 'admin' | 'grant' | 'impersonate'

export function grant(principal: string, on: string, privilege: string, level: Level, more: object = {}): Observation {
  return {
    kind: 'grant',
    id: { kind: 'right', id: `${principal}/${on}/${privilege}` },
    principal: toy(principal),
    on: toy(on),
    privilege,
    level,
    grantable: NOTHING,
    grantedBy: NOTHING,
    expiresAt: known('never'),
    ...more,
  }
}
export const member = (of: string, group: string, facts: object = {}) => grant(of, group, 'MEMBER', 'use', { facts })

export function resource(id: string, type: string, more: object = {}): Observation {
  return { kind: 'resource', id: toy(id), type, name: id, environment: NOTHING, sensitivity: NOTHING, ...more }
}
export const CLUSTER = resource('cluster', 'postgres-cluster')

export type Print =
  | { readonly alg: 'ssh-sha256'; readonly value: string }
  | { readonly alg: 'hmac-sha256'; readonly keyId: string; readonly value: string }
export const key = (value: string): Print => ({ alg: 'ssh-sha256', value })

export function credential(
  id: string,
  principal: string | null,
  more: object = {},
  prints: readonly Print[] = [],
): Observation {
  return {
    kind: 'credential',
    id: toy(id),
    principal: principal === null ? NOTHING : known(toy(principal)),
    type: 'password',
    name: id,
    state: known('active'),
    createdAt: NOTHING,
    rotatedAt: NOTHING,
    expiresAt: known('never'),
    fingerprints: known([...prints]),
    scopes: known([]),
    bindings: known([]),
    strength: NOTHING,
    heldBy: NOTHING,
    ...more,
  }
}

export function reference(consumer: string, of: string | Print): Observation {
  return {
    kind: 'reference',
    id: { kind: 'ref', id: `${consumer}/${typeof of === 'string' ? of : of.value}` },
    consumer: toy(consumer),
    credential: typeof of === 'string' ? toy(of) : of,
    how: 'env',
    location: `/etc/${consumer}`,
    evidence: 'static',
  }
}

export function trust(from: string | { readonly issuer: string }, to: string): Observation {
  const issued = typeof from === 'string' ? toy(from) : { issuer: from.issuer, claims: {} }
  return {
    kind: 'trust',
    id: { kind: 'trust', id: `${JSON.stringify(from)}/${to}` },
    from: issued,
    to: toy(to),
    wildcard: false,
  }
}

export async function estate(t: Pick<TestContext, 'after'>) {
  const i = await inventoryWorld(t)
  const { w } = i
  const needs = { clock: w.clock, connection: w.database.server }
  const sources = new Map<string, string>()
  const look = () => lookAtGraph(needs, new AbortController().signal)
  const idOf = async (name: string) => {
    const tables = ['observedPrincipal', 'observedCredential', 'observedResource', 'identity'] as const
    for (const table of tables) {
      const row = await w.db.selectFrom(table).select('id').where('name', '=', name).executeTakeFirst()
      if (row) return row.id
    }
    throw new Error(`there is no ${name}`)
  }
  return {
    i,
    w,
    look,
    idOf,
    /** What one system tells, from now on; the graph is looked at afterwards. */
    async tell(
      observations: readonly Observation[],
      more: {
        authority?: string
        system?: string
        source?: object
        /** That it is read by the connector of this id, at this address. */
        read?: { readonly by: string; readonly url: string }
      } = {},
    ) {
      const source = toySource()
      source.authority = more.authority ?? 'toy:1'
      source.system = more.system ?? 'Toy 1'
      source.scopes.set('all', [observations])
      const { by = 'toy', ...settings } = more.read ?? {}
      const connector = {
        ...source.connector,
        manifest: { ...source.connector.manifest, id: by },
        settings: z.looseObject({}),
      }
      i.swap(connector)
      const id = sources.get(source.authority) ?? (await i.source(connector, settings, more.source))
      sources.set(source.authority, id)
      await i.collect(id)
      return look()
    },
    /** The kinds of the edges from one thing to tier 0; undefined where there is no way. */
    way: async (name: string) => (await walkToTier0(w.db, await idOf(name)))?.map(({ kind }) => kind),
    /** Names of all that it leads to. */
    async reach(name: string) {
      const { reached } = await readReach(w.db, w.clock, await idOf(name))
      return reached.map(({ to }) => to.name).toSorted()
    },
  }
}

export const people = (...names: string[]) => names.map((name) => toyPrincipal(name, { name }))
