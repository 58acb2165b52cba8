/** What opening is made of everywhere: the login that was sealed, and scopes that are a fixed list of parts. */
import type { z } from 'zod'
import type { Secret } from '../kernel/secret.ts'
import type { Missing, Page, ScopeReport, Since } from './scope.ts'
import { Unreadable } from './unreadable.ts'

/** What is sealed of a source, by the connector's own schema. Throws `Unreadable` when nothing was given; `what` says in words what lacks. */
export function loginOf<T>(
  { credential }: { readonly credential: Secret | undefined },
  shape: z.ZodType<T>,
  what: string,
): T {
  if (!credential) throw new Unreadable(`there is no ${what}`)
  return shape.parse(JSON.parse(credential.reveal()))
}

type Part = {
  readonly gives: string
  /** Shorter than `gives`, where that is long. */
  readonly title?: string
  readonly isFeed?: boolean
}

type Named = { readonly scope: string; readonly title: string; readonly isFeed?: boolean }

/** A source whose scopes are its parts, by name; all of them are always there. */
export function sourceOfParts<P extends Part, Probed>(
  parts: Readonly<Record<string, P>>,
  {
    probe,
    read,
    close = async () => undefined,
  }: {
    readonly probe: (signal: AbortSignal) => Promise<Probed>
    readonly read: (part: P, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
    readonly close?: () => PromiseLike<void>
  },
): AsyncDisposable & {
  readonly probe: (signal: AbortSignal) => Promise<Probed>
  readonly scopes: () => AsyncGenerator<Named, { isAll: boolean; missing: Missing[] }>
  readonly read: (scope: string, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
} {
  return {
    probe,
    async *scopes() {
      for (const [scope, { gives, title = gives, isFeed }] of Object.entries(parts))
        yield { scope, title, ...(isFeed === true && { isFeed }) }
      return { isAll: true, missing: [] }
    },
    read(scope, since, signal) {
      const part = Object.hasOwn(parts, scope) ? parts[scope] : undefined
      if (!part) throw new Unreadable('there is no such scope')
      return read(part, since, signal)
    },
    [Symbol.asyncDispose]: close,
  }
}
