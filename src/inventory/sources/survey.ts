import { SeenAttributes, type Target } from '../../catalog/contract.ts'
import type { Survey } from '../../catalog/catalog.ts'
import { Denied, Unreadable, type Connector, type Observation, type OpenSource } from '../../connectors/connector.ts'
import type { Secret } from '../../kernel/secret.ts'
import type { InventoryNeeds } from '../needs.ts'
import { openWith } from './open-source.ts'

/** What a survey reads of a connector: the list it must see whole, and what it takes along where it may. */
type Scopes = { readonly roles: string; readonly passwords: string; readonly activity: string }

/**
 * A survey of a target by the connector of its protocol: the roles that stand there become accounts. It needs no source and keeps nothing else; a
 * list that is not whole is a failure. What the login may not see is left out of an account, not denied.
 */
export function surveyBy(
  needs: InventoryNeeds,
  connector: Connector,
  scopes: Scopes,
  loginOf: (targetId: string) => Promise<{ readonly settings: unknown; readonly credential: Secret }>,
): Survey {
  return async (target: Target, signal) => {
    const { settings, credential } = await loginOf(target.id)
    await using source = await openWith(needs, connector, { settings, credential, sourceId: target.id }, signal)
    const roles = await allOf(source, scopes.roles, signal)
    if (!roles.isWhole) throw new Unreadable('the roles could not be read whole')
    const passwords = await allOf(source, scopes.passwords, signal)
    const uses = await allOf(source, scopes.activity, signal)
    const withPassword = new Set(
      passwords.told.flatMap((each) =>
        each.kind === 'credential' && each.type !== 'none' && each.principal.known ? [each.principal.value.id] : [],
      ),
    )
    const connections = Map.groupBy(
      uses.told.filter((each) => each.kind === 'usage'),
      (each) => each.subject.id,
    )
    return roles.told.flatMap((each) => {
      // Roles of the server's own stand nowhere for anybody.
      if (each.kind !== 'principal' || each.type === 'group' || each.name.startsWith('pg_')) return []
      const hasPassword = withPassword.has(each.id.id)
      const more = {
        connections: connections.get(each.id.id)?.length ?? 0,
        ...(passwords.isWhole && {
          hasPassword,
          passwordNeverExpires: hasPassword && each.facts?.['validUntil'] === null,
        }),
      }
      return [{ name: each.name, attributes: SeenAttributes.parse({ ...each.facts, ...more }) }]
    })
  }
}

async function allOf(
  source: OpenSource,
  scope: string,
  signal: AbortSignal,
): Promise<{ told: Observation[]; isWhole: boolean }> {
  const told: Observation[] = []
  try {
    const pages = source.read(scope, {}, signal)
    for (;;) {
      const next = await pages.next()
      if (next.done) return { told, isWhole: next.value.status === 'complete' }
      told.push(...next.value.observations)
    }
  } catch (error) {
    if (error instanceof Denied) return { told, isWhole: false }
    throw error
  }
}
