import { z } from 'zod'
import { shown } from '../kernel/event.ts'

const REVOCABILITIES = ['immediate', 'next-login', 'expires-only', 'none'] as const

/** How fast a credential stops working once it is ended at the target. */
export const Revocability = shown(z.enum(REVOCABILITIES))
