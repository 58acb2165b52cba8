/** Why a login did not come about. The message is a sentence of ours for the person in front of the browser, and quotes nothing that came. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused'
  readonly code: 'nobody' | 'over' | 'forged' | 'unreachable' | 'refused' | 'slow-down'

  constructor(code: LoginRefused['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
