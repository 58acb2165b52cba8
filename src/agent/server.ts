import type { z } from 'zod'
import type { Operation } from '../kernel/operation.ts'
import type { Secret } from '../kernel/secret.ts'

type Given = {
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly input?: unknown
}

/** A connection to the server, by whichever client the program brings. */
export type Server = Disposable & {
  /** The answer, read by the operation's own schema. One try; what went wrong at the server has its `status`. */
  ask<Op extends Operation>(operation: Op, given: Given, signal?: AbortSignal): Promise<z.output<Op['output']>>
}

/** How the agent shows who it is, once it is admitted. */
export type Proof = { readonly token: Secret; readonly certificate: string; readonly privateKey: Secret }
export type Connect = (proof: Proof | undefined) => Server

/** Whether the server said no to who asks; anything else may be different in a moment. */
export function isRefusal(error: unknown): boolean {
  const status: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'status') : undefined
  return status === 401 || status === 403
}

/** Whether it said that what was asked for is none of ours. */
export function isUnknown(error: unknown): boolean {
  return typeof error === 'object' && error !== null && Reflect.get(error, 'status') === 404
}
