import type { Db } from '../kernel/db.ts'
import type { Kind, View } from '../kernel/view.ts'
import { rulesOf, type KnownRule } from './known-rules.ts'

/** The active rules as this node remembers them. Whatever is issued under one holds its row, so one that ended is worth nothing. */
export type TrustRulesAtHand = {
  /** Those of an issuer that fit. Where none does the rows are read, for it may have been made a moment ago. */
  fitting(issuer: string, fits: (rule: KnownRule) => boolean): Promise<KnownRule[]>
}

type OfIssuer = { readonly rules: readonly KnownRule[] }

export function trustRulesAtHand(db: Db, view: View): TrustRulesAtHand {
  const shelf = view.shelf<OfIssuer>(OF_ISSUER)
  return {
    async fitting(issuer, fits) {
      const remembered = (await shelf.read(issuer))?.rules.filter(fits) ?? []
      return remembered.length > 0 ? remembered : (await rulesOf(db, issuer)).filter(fits)
    },
  }
}

const OF_ISSUER: Kind<OfIssuer> = {
  load: async (db, issuer) => {
    const rules = await rulesOf(db, issuer)
    return rules.length > 0 ? { rules } : undefined
  },
  hintsOf: ({ rules }) => ['trust-rules', ...new Set(rules.map(({ identityId }) => `identity:${identityId}`))],
}
