/** Denials that may be asked for, bound to what was asked (Access Request and Approval Profile, draft of June 2026). */
import { z } from 'zod'
import { sha256 } from '../../kernel/crypto.ts'
import type { Seal } from '../../kernel/seal.ts'
import { Secret } from '../../kernel/secret.ts'
import { canonicalText } from '../../ledger/ledger.ts'
import type { AskedQuestion } from './asked.ts'

const Denied = z.strictObject({
  evaluationId: z.uuid(),
  expiresAt: z.iso.datetime(),
  subjectId: z.string(),
  /** Whom it acted for; null for nobody. */
  onBehalfOfId: z.string().nullable(),
  accountId: z.string(),
  action: z.string(),
  /** Members of the context that were part of what was denied: who asks cannot change them. */
  members: z.array(z.string()),
  askedSha256: z.string(),
})

/** What was denied to whom, as it was decided and not as somebody says. */
export type Denied = z.output<typeof Denied>
type Asked = Pick<AskedQuestion, 'subject' | 'action' | 'resource' | 'context'>

/** Sealed rather than signed: the records that a name led to are not the enforcement point's to read. */
const PLACE = 'authzen.denial'

/** All else of a context is said anew with the request, and decided then. */
const BOUND_MEMBERS = ['on_behalf_of', 'purpose']

/** The reference a denial is asked for by; undefined of a question that has no one spelling. */
export function writeDenial(
  seal: Pick<Seal, 'seal'>,
  denied: Omit<Denied, 'members' | 'askedSha256'>,
  asked: Asked,
): string | undefined {
  const members = BOUND_MEMBERS.filter((member) => asked.context?.[member] !== undefined)
  const askedSha256 = bindingHash(asked, members)
  if (askedSha256 === undefined) return undefined
  return seal.seal(new Secret(JSON.stringify({ ...denied, members, askedSha256 })), PLACE).toString('base64url')
}

/** What a reference is about; undefined for one that was not made here, or is not about what is submitted with it. */
export function readDenial(seal: Pick<Seal, 'open'>, token: string, submitted: Asked): Denied | undefined {
  const denied = opened(seal, token)
  if (!denied) return undefined
  // Whom one acts for is never added later.
  if (!denied.members.includes('on_behalf_of') && submitted.context?.['on_behalf_of'] !== undefined) return undefined
  return denied.askedSha256 === bindingHash(submitted, denied.members) ? denied : undefined
}

function opened(seal: Pick<Seal, 'open'>, token: string): Denied | undefined {
  try {
    return Denied.parse(JSON.parse(seal.open(Buffer.from(token, 'base64url'), PLACE).reveal().toString('utf8')))
  } catch {
    return undefined
  }
}

/** The profile's `binding_hash`, without `subject.properties.act`, which enforcement points spell as they like. */
function bindingHash(
  { subject, resource, action, context = {} }: Asked,
  members: readonly string[],
): string | undefined {
  const { act: _act, ...properties } = subject.properties ?? {}
  try {
    const text = canonicalText({
      subject: { ...thing(subject), ...(subject.properties && { properties }) },
      resource: { ...thing(resource), ...(resource.properties && { properties: resource.properties }) },
      action: { name: action.name, ...(action.properties && { properties: action.properties }) },
      context: Object.fromEntries(members.map((member) => [member, context[member] ?? null])),
    })
    return sha256(text).toString('base64url')
  } catch {
    return undefined
  }
}

function thing({ type, id }: { readonly type: string; readonly id: string }) {
  return { type, id }
}
