import { Problem } from '../../kernel/problem.ts'

/** RFC 7644 §3.12, and RFC 9865 §2.1 for cursors. */
type ScimType =
  | 'invalidFilter'
  | 'tooMany'
  | 'uniqueness'
  | 'mutability'
  | 'invalidSyntax'
  | 'invalidPath'
  | 'noTarget'
  | 'invalidValue'
  | 'invalidCursor'

/** What a SCIM client is told. The sentence is ours and quotes nothing that was sent. */
export class ScimError extends Error {
  override readonly name = 'ScimError'
  readonly status: number
  readonly scimType: ScimType | undefined

  constructor(status: number, scimType: ScimType | undefined, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.status = status
    this.scimType = scimType
  }
}

export function invalidValue(detail: string): ScimError {
  return new ScimError(400, 'invalidValue', detail)
}

export function noSuchResource(): ScimError {
  return new ScimError(404, undefined, 'There is no such resource.')
}

const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error'

/** RFC 7644 §3.12. */
export function errorBody({ status, scimType, message }: ScimError): unknown {
  return { schemas: [ERROR], status: String(status), ...(scimType !== undefined && { scimType }), detail: message }
}

/** What a command or the decision says, in this protocol's words; undefined for what is our own fault. */
export function asScimError(error: unknown): ScimError | undefined {
  if (error instanceof ScimError) return error
  if (!(error instanceof Problem)) return undefined
  const scimType = error.status === 400 ? 'invalidValue' : error.slug === 'name-taken' ? 'uniqueness' : undefined
  return new ScimError(error.status, scimType, error.message, { cause: error })
}
