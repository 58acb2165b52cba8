/** What a decision was about: AuthZEN's `type` and `id`. */
export type EntityRef = { readonly type: string; readonly id: string }

/** Everything a permit binds (core 4): who may do what to which thing, decided when and under which policies. */
export type PermitTerms<A extends string = string> = {
  readonly action: A
  readonly subject: EntityRef
  /** The other links of the chain, the delegating person first; empty when the subject acts for itself. */
  readonly onBehalfOf: readonly EntityRef[]
  readonly resource: EntityRef
  /** Where policies and records stood; a command compares it inside its transaction. */
  readonly policyEpoch: string
  readonly decisionId: string
  readonly evaluatedAt: Date
}

/** Known to this module alone, so the constructor reached through an instance still refuses. */
const mintingToken = Symbol('minting')

/**
 * The right to run one command once decided. The class is not exported and has a private brand, so no literal, spread,
 * cast-free copy or subclass is a permit; `Permit<'grant.revoke'>` as an argument means the decision was made.
 */
class DecidedPermit<A extends string> {
  readonly #action: A
  readonly #terms: PermitTerms<A>

  constructor(token: typeof mintingToken, terms: PermitTerms<A>) {
    if (token !== mintingToken) throw new Error('A permit comes from a decision.')
    this.#action = terms.action
    this.#terms = Object.freeze({
      ...terms,
      evaluatedAt: new Date(terms.evaluatedAt),
      subject: Object.freeze({ ...terms.subject }),
      onBehalfOf: Object.freeze(terms.onBehalfOf.map((link) => Object.freeze({ ...link }))),
      resource: Object.freeze({ ...terms.resource }),
    })
    Object.freeze(this)
  }

  get action(): A {
    return this.#action
  }

  get subject(): EntityRef {
    return this.#terms.subject
  }

  get onBehalfOf(): readonly EntityRef[] {
    return this.#terms.onBehalfOf
  }

  get resource(): EntityRef {
    return this.#terms.resource
  }

  get policyEpoch(): string {
    return this.#terms.policyEpoch
  }

  get decisionId(): string {
    return this.#terms.decisionId
  }

  /** A copy, since a `Date` can be changed by whoever holds it. */
  get evaluatedAt(): Date {
    return new Date(this.#terms.evaluatedAt)
  }

  static is(value: unknown): value is DecidedPermit<string> {
    return typeof value === 'object' && value !== null && #terms in value
  }
}

export type Permit<A extends string = string> = DecidedPermit<A>

/** Makes a permit. Only src/policy imports this; test/architecture.test.ts holds it. */
export function mintPermit<A extends string>(terms: PermitTerms<A>): Permit<A> {
  return new DecidedPermit(mintingToken, terms)
}

/** Whether a value is a permit that was minted here, whatever its static type claims. */
export function isPermit(value: unknown): value is Permit {
  return DecidedPermit.is(value)
}
