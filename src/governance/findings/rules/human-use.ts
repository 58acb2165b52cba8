import { RECENT_DAYS, type AccountFacts } from '../facts/facts.ts'
import { clear, dayOf, found, unknown, type Rule } from '../rule.ts'

/** Programs that a person types into. */
const BY_HAND = /\b(psql|pgcli|pgadmin|dbeaver|datagrip|tableplus|mysql-?workbench|heidisql|navicat)\b/i

export const humanUse: Rule<AccountFacts> = {
  id: 'human-use',
  owasp: 'NHI10:2025',
  title: 'A person used the account of a machine',
  why: 'What was done cannot be told apart from what the machine does, and nobody can be held to it.',
  needs: `uses of the last ${RECENT_DAYS} days with the program or the person behind them`,
  fix: 'Give the login another secret, and let the person act as themselves through Reeve.',
  control: "Interactive use of machine accounts is by a session under one's own name, for a purpose.",
  judge({ claimedBy, outside, isWatched, mode, now }) {
    if (mode === 'lease' || claimedBy === 'human') return clear(now)
    if (claimedBy === null) return unknown('nobody claims it, so it is not known to be of a machine')
    const byHand = outside.find(({ byHuman, agent }) => byHuman || (agent !== null && BY_HAND.test(agent)))
    if (byHand) {
      const how = byHand.byHuman ? 'the source names a person' : `by ${byHand.agent ?? ''}, which people type into`
      return found(
        'medium',
        byHand.at,
        [`a ${claimedBy} holds it`, `it was used on ${dayOf(byHand.at)}`, how],
        byHand.byHuman ? [] : ['a program can be started by a machine too'],
      )
    }
    if (!isWatched) return unknown(`not every use of the last ${RECENT_DAYS} days would have been seen`)
    if (outside.some(({ agent }) => agent === null)) return unknown('the source does not tell by which program')
    return clear(now)
  },
}
