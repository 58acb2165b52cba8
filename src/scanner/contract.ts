import { z } from 'zod'

/** OWASP Non-Human Identities Top 10 (2025), risk 2: secret leakage. */
export const OWASP_ID = 'NHI2:2025'

/** A secret where it should not be. The secret itself is nowhere in it. */
export const Finding = z
  .object({
    rule: z.string().max(100),
    what: z.string().max(200),
    issuer: z.string().max(60).nullable().describe('Null where only the name it was assigned to gave it away'),
    owasp: z.literal(OWASP_ID),
    confidence: z.enum(['high', 'medium', 'low']),
    validity: z
      .enum(['well-formed', 'verified-offline', 'expired', 'encrypted', 'live', 'unknown'])
      .describe('What was seen without asking anybody; live and unknown come from imports'),
    detail: z.string().max(200).nullable(),
    fingerprint: z
      .object({ alg: z.literal('hmac-sha256'), keyId: z.string().max(64), value: z.string().max(64) })
      .nullable()
      .describe('Null in imports that do not hold the secret'),
    preview: z.string().max(40),
    path: z.string().max(4096).describe('Within the source; what is inside of archives follows after !'),
    line: z.int().min(1),
    column: z.int().min(1),
    endLine: z.int().min(1),
    endColumn: z.int().min(1),
    decodedBy: z.array(z.string().max(40)).max(20).describe('What was unpacked or decoded on the way, outermost first'),
    commit: z.string().max(64).nullable().describe('The first that brought it to this path'),
    author: z.string().max(320).nullable(),
    committedAt: z.string().max(40).nullable(),
    isPresent: z
      .boolean()
      .nullable()
      .describe('Whether it still stands in the newest state; null where there is no history'),
    importedFrom: z.string().max(40).nullable(),
  })
  .meta({ id: 'SecretFinding' })
export type Finding = z.output<typeof Finding>

/** Something that was not looked at, or not whole, and why. */
export const Unread = z.object({ path: z.string().max(4200), reason: z.string().max(300) })
export type Unread = z.output<typeof Unread>

/** What was looked at. */
export const Summary = z.object({
  files: z.int().min(0),
  bytes: z.int().min(0),
  /** Of which with a zero byte: known formats are found in them, values by name are not looked for. */
  binary: z.int().min(0),
  unread: z.array(Unread),
  /** More were unread than are listed. */
  unreadCount: z.int().min(0),
  /** Findings that an allow-list or a comment left out. */
  allowed: z.int().min(0),
})
export type Summary = z.output<typeof Summary>
