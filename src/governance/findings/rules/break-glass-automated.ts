import type { IdentityFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const breakGlassAutomated: Rule<IdentityFacts> = {
  id: 'break-glass-automated',
  owasp: 'NHI10:2025',
  title: 'Automation has a break-glass identity',
  why: 'What is for people in an emergency goes past approvals; a program that has it does so every day, and nobody hears the alarm any more.',
  needs:
    'what keeps its credentials and who used them, and every source seen whole before it may be said that no program does',
  fix: 'Give its login another secret that only people can get, and let the program ask for a grant as itself.',
  control: 'Break-glass proves itself by the key of a person, is loud, and its login changes after each use.',
  judge({ profile, state, automation, isTied, isAllWhole, now }) {
    if (profile !== 'break-glass' || state === 'retired') return clear(now)
    if (automation.length > 0) return found('critical', now, [...automation])
    if (!isTied) return unknown('nothing at a source is tied to it, so who keeps its login is not seen')
    return isAllWhole ? clear(now) : unknown('not every source was seen whole, so a program may be unseen')
  },
}
