/** What the processes of the HTTP measurement say to each other. */

/** Where a server is, and what to send it. Each request is whole, as it goes over the wire; they are sent in turn. */
export type Door = { readonly port: number; readonly ca: string; readonly requests: readonly string[] }

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

/** `rate` makes it an open loop: requests are due at that rate whether the ones before were answered or not. */
export type Drive = {
  readonly door: Door
  readonly connections: number
  readonly seconds: number
  readonly rate?: number
  /** What every answer must hold. */
  readonly expected: string
}

export type Driven = {
  readonly answered: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Due but not answered when the time was over; each counts with the age it had then. */
  readonly unanswered: number
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
