/** Policy documents of IAM as they are written, brought into one form. What is not understood is no document, and never one without rights. */
import { z } from 'zod'

const Texts = z.union([z.string(), z.array(z.string())]).transform((one) => (typeof one === 'string' ? [one] : one))
// JSON has booleans and numbers where IAM takes texts.
const Value = z.union([z.string(), z.number(), z.boolean()]).transform(String)
const Values = z.union([Value, z.array(Value)]).transform((one) => (typeof one === 'string' ? [one] : one))

/** Operator, then key, then the values of which one has to fit. */
const Conditions = z.record(z.string(), z.record(z.string(), Values))
const Principals = z.union([z.literal('*').transform(() => ({ AWS: ['*'] })), z.record(z.string(), Texts)])

const Written = z
  .strictObject({
    Sid: z.string().optional(),
    Effect: z.enum(['Allow', 'Deny']),
    Action: Texts.optional(),
    NotAction: Texts.optional(),
    Resource: Texts.optional(),
    NotResource: Texts.optional(),
    Principal: Principals.optional(),
    NotPrincipal: Principals.optional(),
    Condition: Conditions.optional(),
  })
  .refine(({ Action, NotAction }) => (Action === undefined) !== (NotAction === undefined))
  .refine(({ Resource, NotResource }) => Resource === undefined || NotResource === undefined)
const Document = z.object({
  Version: z.string().optional(),
  Statement: z.union([Written.transform((one) => [one]), z.array(Written)]),
})

type Matched = { readonly of: readonly string[]; readonly isBut: boolean }
type Condition = { readonly operator: string; readonly key: string; readonly values: readonly string[] }

export type Statement = {
  readonly isAllow: boolean
  /** `isBut`: everything but these. Lower case, as IAM does not tell case apart in actions. */
  readonly actions: Matched
  readonly resources: Matched
  /** By kind: `AWS`, `Service`, `Federated`. Only in policies that stand at a resource. */
  readonly principals: Readonly<Record<string, readonly string[]>> | undefined
  readonly isNotPrincipal: boolean
  /** All of them have to hold. */
  readonly conditions: readonly Condition[]
}

/** IAM takes policies of ten thousand characters at most, and twice that with layout. */
const DOCUMENT_MAX = 100_000

/** As the API gives it: in JSON, mostly encoded as a URL is (RFC 3986). Undefined when it is not understood. */
export function readDocument(raw: string | undefined): readonly Statement[] | undefined {
  if (raw === undefined || raw.length > DOCUMENT_MAX * 3) return undefined
  try {
    const text = raw.trimStart().startsWith('{') ? raw : decodeURIComponent(raw)
    const { data } = Document.safeParse(JSON.parse(text))
    return data?.Statement.map(statementOf)
  } catch {
    return undefined
  }
}

function statementOf(written: z.output<typeof Written>): Statement {
  const { Action, NotAction, Resource, NotResource, Principal, NotPrincipal, Condition = {} } = written
  return {
    isAllow: written.Effect === 'Allow',
    actions: { of: (Action ?? NotAction ?? []).map((action) => action.toLowerCase()), isBut: Action === undefined },
    resources: { of: Resource ?? NotResource ?? ['*'], isBut: NotResource !== undefined },
    principals: Principal ?? NotPrincipal,
    isNotPrincipal: NotPrincipal !== undefined,
    conditions: Object.entries(Condition).flatMap(([operator, of]) =>
      Object.entries(of).map(([key, values]) => ({ operator, key, values })),
    ),
  }
}
