/** What the process of the load is told and tells. */

/** Where a server is, and what to send it. Each request is whole, as it goes over the wire; they are sent in turn. */
export type Door = {
  readonly port: number
  readonly ca: string
  readonly requests: readonly string[]
  /** Whom the connections are of, where that is proven by a certificate. */
  readonly client?: { readonly cert: string; readonly key: string }
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
