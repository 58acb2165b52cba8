import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'

export const toolsApproved = event('tool.approved', 'A person approved tools of servers as they are.', {
  tools: shown(z.array(z.string()).max(100)).describe('each an id and a digest'),
})
