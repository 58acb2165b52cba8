import type { ToolFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const openToolServer: Rule<ToolFacts> = {
  id: 'open-tool-server',
  owasp: 'NHI4:2025',
  title: 'A server of tools answers whoever reaches it',
  why: 'Its tools act with rights of their own elsewhere, and nobody has to prove anything to use them.',
  needs: "the server's answer to a greeting without a token",
  fix: 'Let it ask for tokens of an authorization server that it names (RFC 9728), for its own audience.',
  control: 'Servers of tools are reached by a gateway that proves who asks.',
  judge({ type, isPublic, isPresent, environment, readAt }) {
    if (type !== 'mcp-server') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (isPublic === null) return unknown('whether it answers without a token was not seen')
    if (!isPublic) return clear(readAt)
    return found(
      environment === 'production' ? 'high' : 'medium',
      readAt,
      ['it greeted and listed without a token'],
      ['whether a tool asks for more when it is called was not tried'],
    )
  },
}
