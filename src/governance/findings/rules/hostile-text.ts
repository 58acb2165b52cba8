import type { ToolFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

/** Larger than what is looked at. */
const UNREAD = 'unread'
const GRAVE = ['hidden-characters', 'hides-from-the-person', 'asks-for-secrets', 'overrides-instructions']

export const hostileText: Rule<ToolFacts> = {
  id: 'hostile-text',
  owasp: 'NHI3:2025',
  title: "A server speaks to the model behind the person's back",
  why: 'Models take descriptions for instructions. One that is hidden, commands them or asks for secrets steers every agent that lists it, before anything is called.',
  needs: 'the texts of the server, its tools, prompts and resources',
  fix: 'Take the server from the agents until somebody read the text, and end the credentials of whatever used it.',
  control: 'Agents reach servers only by a gateway that gives them approved tools.',
  judge({ marks, isPresent, isWhole, readAt }) {
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    const hostile = marks.filter((mark) => mark !== UNREAD)
    const isUnread = marks.includes(UNREAD)
    if (hostile.length === 0) {
      if (isUnread) return unknown('its texts are longer than what is looked at')
      return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    }
    const severity = hostile.some((mark) => GRAVE.includes(mark)) ? 'high' : 'medium'
    return found(
      severity,
      readAt,
      hostile.map((mark) => mark.replaceAll('-', ' ')),
      [
        'words are told by patterns: an honest text can look so',
        ...(isUnread ? ['the rest of it was not looked at'] : []),
      ],
    )
  },
}
