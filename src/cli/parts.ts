import type { Operation } from '../kernel/operation.ts'
import type { Connection } from './connection.ts'

/**
 * What stands behind the commands that are no calls of a server. Loaded only by the command that needs it: the composition root hands them in, so
 * that nothing here reaches into the server.
 */
export type Parts = {
  readonly version: string
  readonly operations: () => Promise<readonly Operation[]>
  /** Serves until a signal: the first one stops in order, a second one at once. */
  readonly start: (given: ServerFlags) => Promise<void>
  /** Brings an external database's schema to this release; returns what it did as sentences. */
  readonly migrate: (given: ServerFlags) => Promise<readonly string[]>
  /** Puts everything sealed under a new root key while no node runs; returns what it did as sentences. */
  readonly rewrap: (given: ServerFlags, leaveBroken: boolean) => Promise<readonly string[]>
  /** The whole configuration, secrets left out. Throws an error with sentences when it is not valid. */
  readonly config: (given: ServerFlags) => Promise<unknown>
  /** Does something with a folder of policies on this machine. */
  readonly policy: (request: PolicyToolRequest) => Promise<PolicyToolResult>
  /** The files of a folder that a version of the policies is made of. */
  readonly policyTexts: (folder: string) => Promise<{ name: string; text: string }[]>
  /** Looks for secrets on this machine; 0 none, 1 some, 2 it could not be done. */
  readonly scan: (request: ScanRequest, output: ScanOutput) => Promise<0 | 1 | 2>
  /** Serves the workloads of this machine until a signal, or until the server admits it no more. */
  readonly agent: (request: AgentRequest, tell: (sentence: string) => void) => Promise<void>
  readonly verify: (args: readonly string[], print: (text: string) => void) => Promise<0 | 1 | 2>
}

/** What is asked of which folders. */
export type PolicyToolRequest =
  | { readonly tool: 'check' | 'test' | 'analyse'; readonly folder: string }
  | { readonly tool: 'diff'; readonly before: string; readonly after: string }
  | { readonly tool: 'explain'; readonly folder: string; readonly question: string }

/** Where secrets are looked for. */
export type ScanSource =
  | { readonly kind: 'tree'; readonly root: string; readonly shownAs?: string }
  | { readonly kind: 'history' | 'staged'; readonly repository: string }
  | { readonly kind: 'push'; readonly repository: string; readonly updates: string }
  | { readonly kind: 'stdin' }

type ScanRequest = {
  readonly sources: readonly ScanSource[]
  readonly imports: readonly string[]
  readonly format: 'table' | 'json' | 'sarif'
  readonly keyFile?: string
  readonly allowFile?: string
  readonly baselineFile?: string
  readonly writeBaselineTo?: string
  readonly withComments?: boolean
  readonly withNames?: boolean
  readonly workingFolder: string
}

type ScanOutput = { readonly report: (text: string) => void; readonly tell: (sentence: string) => void }

/** What came of it: lines for a person, and the same as data. */
type PolicyToolResult = {
  readonly isGood: boolean
  readonly lines: readonly string[]
  readonly data: unknown
}

/** As which machine, towards which server, and where. */
type AgentRequest = {
  readonly connection: Pick<Connection, 'address' | 'authority'>
  readonly machine: string
  readonly joinTokenFile?: string
  readonly hostKeyFile?: string
  readonly socketPath: string
  readonly stateFolder: string
}

/** How a server is configured from the command line. */
export type ServerFlags = {
  readonly file?: string
  readonly flags: Readonly<Record<string, string>>
}
