import type { ToolFacts } from '../facts/facts.ts'
import { clear, dayOf, found, unknown, type Rule } from '../rule.ts'

const SHOWN = 12

export const toolChanged: Rule<ToolFacts> = {
  id: 'tool-changed',
  owasp: 'NHI3:2025',
  title: 'A tool of a server is not what was approved',
  why: 'A server can give a tool another description or schema at any time, and agents follow it: what was looked at is not what they call.',
  needs: 'the tools of the server, and which of them a person approved',
  fix: 'Look at the tool as it is now, and approve it (`reeve tool approve`), or take the server from the agents.',
  control: 'Gateways hold tools whose digest is not the approved one.',
  judge({ type, digest, approvedDigest, approvedAt, isServerApproved, marks, isPresent, readAt }) {
    if (type !== 'mcp-tool') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (digest === null) return unknown('its source told no digest of it')
    if (approvedDigest === digest) return clear(readAt)
    if (approvedDigest !== null && approvedAt !== null)
      return found(marks.length > 0 ? 'critical' : 'high', readAt, [
        `approved as ${approvedDigest.slice(0, SHOWN)} on ${dayOf(approvedAt)}, and ${digest.slice(0, SHOWN)} now`,
      ])
    if (!isServerApproved) return unknown('nobody approved any tool of its server')
    return found('medium', readAt, ['other tools of its server were approved, and nobody approved this one'])
  },
}
