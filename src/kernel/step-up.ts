/** How strongly a person proved themselves for one act. */
export type StepUpLevel = 'mfa' | 'phishing-resistant'

/** A proof that its person gave for one act, as commands see it. */
export type StepUpShown = {
  readonly id: string
  readonly level: StepUpLevel
  /** What the route bound beyond the call (`Route.inner`), where it did. */
  readonly innerSha256: Buffer | null
}

/** OpenID's MODRNA and EAP names of what meets a level, the weakest that does first (RFC 9470 §3, OpenID EAP ACR Values 1.0). */
export const ACR_VALUES: Readonly<Record<StepUpLevel, readonly string[]>> = {
  mfa: ['http://schemas.openid.net/pape/policies/2007/06/multi-factor', 'phr', 'phrh'],
  'phishing-resistant': ['phr', 'phrh'],
}

/** How old a proof may be when it is used: as long as a person reads and answers, and a program repeats its call. */
export const STEP_UP_SECONDS = 300
