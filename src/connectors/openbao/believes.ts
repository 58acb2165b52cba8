/** Whom roles of auth methods believe, and whose tokens these are: which issuer stands in the configuration of the mount. */
import { z } from 'zod'
import type { Holes, NativeId, Observation } from '../connector.ts'
import { read, type Bao } from './api.ts'
import type { Mount } from './mounts.ts'
import { orMissing } from './walk.ts'

const METHODS = ['jwt', 'oidc', 'kubernetes', 'aws', 'azure', 'gcp', 'cert']
/** Claims of one trust; more subjects are told in further ones. */
const CLAIMS_MAX = 200

const Words = z.array(z.string()).nullish()
/** A claim that is no text is asked for as it is; a subject is always one (RFC 7519 §4.1.2). */
const Scalar = z.union([z.string(), z.number(), z.boolean()])
const Claims = z
  .record(z.string(), z.union([Scalar, z.array(Scalar)]))
  .refine(({ sub = [] }) => [sub].flat().every((each) => typeof each === 'string'))
/** What a role asks of those who come by it. */
export const Asks = z.object({
  role_type: z.string().nullish(),
  bound_audiences: Words,
  bound_subject: z.string().nullish(),
  bound_claims: Claims.nullish(),
  bound_claims_type: z.string().nullish(),
  bound_service_account_names: Words,
  bound_service_account_namespaces: Words,
  bound_service_account_namespace_selector: z.string().nullish(),
  bound_iam_principal_arn: Words,
  bound_iam_principal_id: Words,
  allowed_common_names: Words,
})
type Asks = z.output<typeof Asks>

/** Whose tokens a mount takes: `iss`, where a token has to say another issuer than the one whose keys are taken. */
export type Issuer = { readonly url: string; readonly iss?: string; readonly keysFrom?: string }

const Text = z.string().max(2_000).nullish()
const Config = z.object({ bound_issuer: Text, oidc_discovery_url: Text, jwks_url: Text, kubernetes_host: Text })

/** What the configuration of the mount says; undefined where it names nobody, or may not be read. */
export async function issuerOf(bao: Bao, mount: Mount, holes: Holes, signal: AbortSignal): Promise<Issuer | undefined> {
  if (!['jwt', 'oidc', 'kubernetes'].includes(mount.type)) return undefined
  const [config] = await orMissing(
    bao,
    async () => {
      const found = await read(bao, `auth/${mount.path}config`, Config, signal)
      return found ? [found] : []
    },
    holes,
    signal,
  )
  return config && (mount.type === 'kubernetes' ? clusterOf(config.kubernetes_host) : signerOf(config))
}

/** Tokens are shown to the cluster at that address ("TokenReview"): whatever it believes is believed. */
function clusterOf(host: string | null | undefined): Issuer | undefined {
  const url = host && URL.canParse(host) ? new URL(host) : undefined
  return url && { url: `${url.origin}${url.pathname.replace(/\/+$/, '')}` }
}

/** Keys found at an issuer are that issuer's, whatever a token is asked to say; keys given by hand or at an address are whose the mount says. */
function signerOf({ bound_issuer: bound, oidc_discovery_url: found, jwks_url: keys }: z.output<typeof Config>) {
  if (found) return { url: found, ...(bound && bound !== found && { iss: bound }) }
  return bound ? { url: bound, ...(keys && { keysFrom: keys }) } : undefined
}

type Role = { readonly id: NativeId; readonly mount: Mount; readonly issuer: Issuer | undefined }

/** Foreign issuers a role believes: tokens of OIDC, service accounts, principals of a cloud, certificates. */
export function trustsOf({ id, mount, issuer }: Role, asks: Asks): Observation[] {
  if (!METHODS.includes(mount.type)) return []
  const claims = claimsOf(asks)
  if (issuer?.iss !== undefined) claims['iss'] = [issuer.iss]
  const isGlob = mount.type === 'jwt' || mount.type === 'oidc' ? asks.bound_claims_type === 'glob' : true
  const who = Object.entries(claims).filter(([claim]) => claim !== 'aud' && claim !== 'iss')
  // By an address a person logs in with a browser, and no token of others is taken.
  const byHand = (mount.type === 'jwt' || mount.type === 'oidc') && asks.role_type !== 'jwt'
  const chosen = asks.bound_service_account_namespace_selector
  const facts = {
    method: mount.type,
    mount: `auth/${mount.path}`,
    keysFrom: issuer?.keysFrom ?? null,
    ...(byHand && { expression: 'a person logs in at the issuer' }),
    ...(chosen && { expression: `namespaces by ${chosen}` }),
  }
  const arns = asks.bound_iam_principal_arn ?? []
  const subjects = subjectsOf(mount, asks)
  const isOpen =
    who.length === 0 || [...who.flatMap(([, values]) => values), ...arns].some((value) => value.includes('*'))
  return [
    ...chunks(subjects).map((sub, at): Observation => ({
      kind: 'trust',
      id: { kind: 'role-trust', id: at === 0 ? id.id : `${id.id}#${at}` },
      from: {
        issuer: byHand ? `auth/${mount.path}` : (issuer?.url ?? `auth/${mount.path}`),
        claims: { ...claims, ...(sub && { sub }) },
      },
      to: id,
      wildcard: isOpen && (isGlob || who.length === 0),
      facts,
    })),
    ...namedOf(id, asks),
  ]
}

function chunks(subjects: readonly string[] | undefined): (string[] | undefined)[] {
  if (subjects === undefined) return [undefined]
  const parts: string[][] = []
  for (let at = 0; at < subjects.length; at += CLAIMS_MAX) parts.push(subjects.slice(at, at + CLAIMS_MAX))
  return parts
}

function claimsOf(asks: Asks): Record<string, string[]> {
  const claims: Record<string, string[]> = {}
  const add = (key: string, values: readonly string[] | null | undefined) => {
    if (values && values.length > 0) claims[key.slice(0, 128)] ??= [...values]
  }
  add('aud', asks.bound_audiences)
  // Both have to hold, and this one names one subject alone.
  add('sub', asks.bound_subject ? [asks.bound_subject] : [])
  add('service-account', asks.bound_service_account_names)
  add('namespace', asks.bound_service_account_namespaces)
  add('arn', asks.bound_iam_principal_arn)
  add('common-name', asks.allowed_common_names)
  for (const [claim, value] of Object.entries(asks.bound_claims ?? {}))
    // A pointer of one step is the claim itself.
    add(claim.replace(/^\/([^/~]+)$/, '$1'), [value].flat().map(String))
  return claims
}

/** What tokens of a cluster's accounts have as their subject, for each name in each namespace. */
function subjectsOf({ type }: Mount, asks: Asks): string[] | undefined {
  if (type !== 'kubernetes') return undefined
  const names = asks.bound_service_account_names ?? []
  const subjects = (asks.bound_service_account_namespaces ?? []).flatMap((namespace) =>
    names.map((name) => `system:serviceaccount:${namespace}:${name}`),
  )
  return subjects.length > 0 ? subjects : undefined
}

/** Users and roles of AWS by the ids that the mount found for them, which no other one ever has. */
function namedOf(to: NativeId, asks: Asks): Observation[] {
  const accounts = new Set((asks.bound_iam_principal_arn ?? []).map((arn) => arn.split(':')[4]))
  const [account] = accounts
  if (accounts.size !== 1 || !/^\d{12}$/.test(account ?? '')) return []
  return (asks.bound_iam_principal_id ?? []).flatMap((native): Observation[] => {
    const kind = native.startsWith('AROA') ? 'role' : native.startsWith('AIDA') ? 'user' : undefined
    if (kind === undefined) return []
    return [
      {
        kind: 'trust',
        id: { kind: 'role-principal', id: `${to.id}/${native}` },
        from: { kind, id: native, authority: `aws:${account}` },
        to,
        wildcard: false,
        facts: { method: 'aws' },
      },
    ]
  })
}
