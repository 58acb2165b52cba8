/**
 * `import { openDecider } from 'reeve/decide'`: decisions in the process of who enforces them, by the policies and facts of a Reeve that is
 * followed. See docs/authzen.md.
 */

export type DeciderOptions = {
  /** Of Reeve's API. */
  readonly url: string
  /** Of the enforcement point, which the configuration lists in `authzen.deciders`. */
  readonly token: string
  /** PEM of the authority that issued the certificate of Reeve; those of the system by default. */
  readonly ca?: string
  /** Nothing that is older is decided on: everything is denied then. 5 s by default, 1 s to a minute. */
  readonly staleMs?: number
  /** Decisions that may wait to be entered in the ledger; 10,000 by default. */
  readonly mostQueued?: number
  /** Privileged acts are denied while a decision waits longer than this to be entered; 30 s by default. */
  readonly lateMs?: number
}

export type DeciderState = {
  readonly policyVersion: string
  /** Since Reeve last said what decides. */
  readonly silenceMs: number
  readonly facts: number
  readonly waiting: number
  /** Decisions that no entry was kept of. */
  readonly lost: number
}

/** AuthZEN Authorization API 1.0 §6.2, with what Reeve says besides. */
export type Answer = {
  decision: boolean
  context: {
    evaluation_id?: string | undefined
    evaluated_at?: string | undefined
    policy_version?: string | undefined
    /** Ids of those that determined it. */
    policies?: string[] | undefined
    reasons?: string[] | undefined
    /** What the policies would permit it for. */
    owed?: string[] | undefined
    /** What the enforcement point has said it carries out, and has to. */
    obligations?: { id: string; type: string; properties: Record<string, unknown> }[] | undefined
    error?: { status: number; message: string } | undefined
  }
}

export type Decider = {
  /** The answer to a question of AuthZEN. Never rejects: what cannot be decided is denied. */
  decide(question: unknown): Promise<Answer>
  state(): DeciderState
  [Symbol.asyncDispose](): PromiseLike<void>
}

/** Resolves once it can decide; rejects where Reeve cannot be reached or does not send what it takes. */
export function openDecider(options: DeciderOptions): Promise<Decider>
