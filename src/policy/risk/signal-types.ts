/*
 * What others may say happened (browser-safe: contracts name it too). OpenID CAEP 1.0 §3 and RISC 1.0 §2, of which those are kept that
 * say something about whether who acts is still who it was; an event that takes one back is a withdrawal here.
 */
const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/'
const RISC = 'https://schemas.openid.net/secevent/risc/event-type/'

const URIS = {
  'session-revoked': `${CAEP}session-revoked`,
  'token-claims-change': `${CAEP}token-claims-change`,
  'credential-change': `${CAEP}credential-change`,
  'assurance-level-change': `${CAEP}assurance-level-change`,
  'device-compliance-change': `${CAEP}device-compliance-change`,
  'risk-level-change': `${CAEP}risk-level-change`,
  'account-credential-change-required': `${RISC}account-credential-change-required`,
  'account-purged': `${RISC}account-purged`,
  'account-disabled': `${RISC}account-disabled`,
  'credential-compromise': `${RISC}credential-compromise`,
  'recovery-activated': `${RISC}recovery-activated`,
  'recovery-information-changed': `${RISC}recovery-information-changed`,
} as const

export type SignalType = keyof typeof URIS

export const SIGNAL_TYPES = [
  'session-revoked',
  'token-claims-change',
  'credential-change',
  'assurance-level-change',
  'device-compliance-change',
  'risk-level-change',
  'account-credential-change-required',
  'account-purged',
  'account-disabled',
  'credential-compromise',
  'recovery-activated',
  'recovery-information-changed',
] as const satisfies readonly SignalType[]

export const SIGNAL_SEVERITIES = ['low', 'medium', 'high', 'critical'] as const
export type SignalSeverity = (typeof SIGNAL_SEVERITIES)[number]

/** The event's identifier as a security event token carries it. */
export function signalUri(type: SignalType): string {
  return URIS[type]
}

/** The type that a name or an event's identifier means. */
export function signalType(nameOrUri: string): SignalType | undefined {
  return SIGNAL_TYPES.find((type) => type === nameOrUri || URIS[type] === nameOrUri)
}
