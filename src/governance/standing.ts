import type { StandingOf } from '../access/access.ts'
import { assessAgainst } from './assess.ts'
import { openOn } from './findings/lists.ts'
import { liveCredentials } from './credentials.ts'
import { rulesFor, type Standard } from './standard.ts'

/**
 * What the standard says of an identity at the moment it acts. It is held to the tier of what it is about to touch where that is the stricter
 * one: who seldom reaches tier 0 owes what tier 0 asks for when it does.
 */
export function standingBy(standard: Standard): StandingOf {
  return async (db, identity, { tier, now }) => {
    const credentials = await liveCredentials(db, identity.id, now)
    const held = { ...identity, tier: Math.min(identity.tier, tier) }
    const { path, isOnPath, controls } = assessAgainst(standard, { identity: held, credentials, now })
    const those = (status: string) => controls.filter((each) => each.status === status).map(({ control }) => control)
    return {
      path,
      isOnPath,
      missing: those('unmet'),
      unknown: those('unknown'),
      findings: [...new Set((await openOn(db, identity.id)).map(({ rule }) => rule))],
      standard: `${standard.version} (${standard.sha256.slice(0, 12)})`,
    }
  }
}

/** How many days the login of an account may be the same one, by whose it is: the least of all rules that speak of it. */
export function mostDaysBy(
  standard: Standard,
): (identity: Pick<Parameters<typeof rulesFor>[1], 'profile' | 'tier'>) => number | undefined {
  return (identity) => {
    const rules = rulesFor(standard, { ...identity, credentials: ['password'], traits: [] })
    const days = rules.flatMap(({ credentialDays }) => credentialDays ?? [])
    return days.length === 0 ? undefined : Math.min(...days)
  }
}
