/** What the processes of the HTTP measurement say to each other. */

export type Kind = 'echo' | 'plain' | 'durable'

/** The node is up: what to ask it, and with what a bare server is to show itself. */
export type SiteReady = {
  readonly ready: {
    readonly port: number
    readonly ca: string
    readonly cert: string
    readonly key: string
    readonly requests: Readonly<Record<'plain' | 'durable' | 'various', readonly string[]>>
  }
}

/** What a measured process is asked between two runs. */
export type Ask = 'cpu' | 'entries' | 'count' | 'counted' | 'simulate'
export type Told = { readonly told: number | readonly Statement[] | Simulated }
/** What a simulation over recorded decisions came to, and how long it held the loop of its node at most. */
export type Simulated = {
  readonly decisions: number
  readonly asked: number
  readonly changed: number
  readonly isCut: boolean
  readonly seconds: number
  readonly longestBlockMs: number
}
/** A statement of the database and how often it was sent. */
export type Statement = { readonly text: string; readonly times: number }
