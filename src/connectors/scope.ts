/** A reading of one scope: where it goes on, its pages, and how it is closed. */
import type { Observation } from './observation.ts'

export type Since = {
  /** Of the last complete reading, as the connector gave it. */
  readonly validator?: string | undefined
  /** Of the last page that was kept, of this reading or, for a scope that is a feed, of an earlier one. */
  readonly cursor?: string | undefined
}

/** At most `PAGE_MAX` observations. A cursor lets a reading that was cut go on behind this page, also after a restart. */
export type Page = { readonly observations: readonly Observation[]; readonly cursor?: string | undefined }
export const PAGE_MAX = 5_000

/** How a scope ended. Only `complete` lets something be taken for gone; it may still name fields that stay dark. */
export type ScopeReport = {
  readonly status: ScopeStatus
  readonly missing: readonly Missing[]
  /** An etag or the like: what `since.validator` will be next time. */
  readonly validator?: string | undefined
}
export const SCOPE_STATUSES = ['complete', 'partial', 'denied', 'unsupported', 'unchanged'] as const
export type ScopeStatus = (typeof SCOPE_STATUSES)[number]

/** What was not seen, why, and which permission would show it. No text of the source in `why`. */
export type Missing = { readonly what: string; readonly why: string; readonly permission?: string | undefined }
