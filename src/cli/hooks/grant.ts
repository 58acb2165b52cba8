/**
 * What every hook begins with: the grant it works under. The caller's live one for exactly this is used on, since other programs call a hook for
 * each of their own calls; only where there is none is one asked for.
 */
import { listGrants, requestAccess, type Grant } from '../../access/contract.ts'
import { issueCredential, type HandedCredential } from '../../credentials/contract.ts'
import type { Client } from '../client.ts'
import { EXIT, Failure } from '../failure.ts'
import type { Io } from '../io.ts'
import { grantFor, grantIn } from '../run/wait.ts'

/** What is wanted: a grant by its id, or what to ask for. */
export type HookTerms = {
  readonly target: string
  readonly account: string
  readonly purpose: string
  readonly actions: readonly string[]
  readonly reason: string | undefined
  readonly ticket: string | undefined
  readonly ttlSeconds: number | undefined
  readonly isWaiting: boolean
}

/** Its id. Whoever calls a hook waits for it, so without `--wait` a request that waits for approval is an end with 4. */
export async function grantOf(io: Io, client: Client, terms: HookTerms): Promise<string> {
  const { target, account, purpose, actions, reason, ticket, ttlSeconds } = terms
  const { items } = await client.ask(listGrants, { query: { view: 'mine', isLive: 'true', target, limit: 200 } })
  const standing = items.find((grant) => isFor(grant, terms))
  if (standing) return standing.id
  const wanted = { reason, ticket, ttlSeconds }
  const request = await client.ask(requestAccess, {
    input: {
      target,
      account,
      purpose,
      actions,
      ...Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined)),
    },
  })
  return terms.isWaiting ? grantFor(io, client, request, new AbortController().signal) : grantIn(request)
}

/** Neither wider nor narrower in what it is for; one that is kept alive by a command ends with that command. */
function isFor(grant: Grant, { account, purpose, actions }: HookTerms): boolean {
  return (
    grant.endedAt === null &&
    !grant.isKeptAlive &&
    grant.account === account &&
    grant.purpose === purpose &&
    grant.actions.length === actions.length &&
    actions.every((action) => grant.actions.includes(action))
  )
}

/** The credential of the grant, of the kind that the hook prints. */
export async function handedFor(
  io: Io,
  client: Client,
  terms: HookTerms,
  wanted: { readonly kind: string; readonly signIn?: boolean },
): Promise<HandedCredential> {
  const grant = await grantOf(io, client, terms)
  const input = wanted.signIn === true ? { signIn: true } : {}
  const handed = await client.ask(issueCredential, { params: { grant }, input })
  if (handed.kind === wanted.kind) return handed
  throw new Failure(EXIT.usage, `${terms.target} gives a ${handed.kind}, which this hook does not print.`)
}

/** One value of a credential. */
export function valueOf({ values, kind }: HandedCredential, name: string): string {
  const value = values[name]
  if (value === undefined) throw new Failure(EXIT.server, `The ${kind} came without its ${name}.`)
  return value
}

/** Whether two addresses are of one server: the same protocol, host and port. */
export function isSameServer(one: string, other: string | undefined): boolean {
  const [a, b] = [URL.parse(one), other === undefined ? null : URL.parse(other)]
  return a !== null && b !== null && a.origin === b.origin
}
