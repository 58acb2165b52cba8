import { matchesGlob } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import type { Finding } from '../contract.ts'

/** `.reeve-scan.yaml`: what is known and is no finding, each with its reason. Keys that are not here are refused. */
const Entry = z
  .strictObject({
    reason: z.string().min(1).max(500),
    rule: z.string().min(1).max(100).optional(),
    path: z.string().min(1).max(500).optional(),
    fingerprint: z.string().min(8).max(64).optional(),
  })
  .refine(({ rule, path, fingerprint }) => (rule ?? path ?? fingerprint) !== undefined, {
    message: 'Say a rule, a path or a fingerprint.',
  })
const File = z.strictObject({ allow: z.array(Entry).max(10_000).default([]) })

export type AllowList = { allows(finding: Pick<Finding, 'rule' | 'path' | 'fingerprint'>): boolean }

/** Reads an allow-list; throws a sentence for what is not one. */
export function readAllowList(text: string, name: string): AllowList {
  const read = File.safeParse(parse(text, { maxAliasCount: 0 }) ?? {})
  if (!read.success) throw new Error(`${name} is no allow-list: ${z.prettifyError(read.error)}`)
  const entries = read.data.allow
  return {
    allows: ({ rule, path, fingerprint }) =>
      entries.some(
        (entry) =>
          (entry.rule === undefined || entry.rule === rule) &&
          (entry.path === undefined || matchesGlob(path.split('!')[0] ?? path, entry.path)) &&
          (entry.fingerprint === undefined || entry.fingerprint === fingerprint?.value),
      ),
  }
}
