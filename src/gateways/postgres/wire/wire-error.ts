/**
 * Something a peer sent, or a failure towards it, that ends in an ErrorResponse. `code` is a SQLSTATE, the message a sentence
 * written by us: safe to send.
 */
export class WireError extends Error {
  readonly code: string
  readonly hint: string | undefined

  constructor(code: string, message: string, hint?: string) {
    super(message)
    this.name = 'WireError'
    this.code = code
    this.hint = hint
  }
}

/** The SQLSTATEs this gateway answers with; names as in appendix A of the PostgreSQL manual. */
export const sqlState = {
  protocolViolation: '08P01',
  featureNotSupported: '0A000',
  invalidText: '22021',
  invalidParameterValue: '22023',
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  invalidDatabase: '3D000',
  syntaxError: '42601',
  insufficientPrivilege: '42501',
  programLimitExceeded: '54000',
  statementTooComplex: '54001',
  adminShutdown: '57P01',
  cannotConnectNow: '57P03',
} as const

/** A message that breaks the protocol: the connection cannot go on. */
export function violation(message: string): WireError {
  return new WireError(sqlState.protocolViolation, message)
}
