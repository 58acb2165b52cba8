/** When service principals, and their secrets and certificates, were used last. Both reports are of Graph's beta, which may change. */
import { inPages, unknown, type NativeId, type Observation, type Page, type ScopeReport } from '../connector.ts'
import { partiesOf } from './applications.ts'
import { everyOf, whenOf, type Graph } from './api.ts'
import { LoginActivity, loginOf, PrincipalActivity, principalOf } from './shapes.ts'

const NEED = { what: 'when what was used last', permission: 'AuditLog.Read.All' }
export const PRINCIPAL_ACTIVITY = {
  path: '/beta/reports/servicePrincipalSignInActivities',
  need: NEED,
  shape: PrincipalActivity,
}
const LOGIN_ACTIVITY = { path: '/beta/reports/appCredentialSignInActivities', need: NEED, shape: LoginActivity }
const PAGE = 1_000

export async function* readActivity(graph: Graph, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const byApp = new Map<string, string>()
  for (const [id, { appId }] of await partiesOf(graph, signal)) byApp.set(appId, id)
  let told: Observation[] = []
  for await (const each of everyOf(graph, PRINCIPAL_ACTIVITY, signal)) {
    const id = byApp.get(each.appId)
    if (id === undefined) continue
    told.push(
      ...useOf(principalOf(id), each.applicationAuthenticationClientSignInActivity?.lastSignInDateTime, 'app-only'),
      ...useOf(principalOf(id), each.delegatedClientSignInActivity?.lastSignInDateTime, 'delegated'),
    )
    if (told.length < PAGE) continue
    yield* inPages(told)
    told = []
  }
  for await (const each of everyOf(graph, LOGIN_ACTIVITY, signal)) {
    const of = each.credentialOrigin === 'servicePrincipal' ? each.servicePrincipalObjectId : each.appId
    if (!of) continue
    const kind = each.keyType === 'certificate' ? 'client-certificate' : 'client-secret'
    told.push(...useOf(loginOf(kind, of, each.keyId), each.signInActivity?.lastSignInDateTime, undefined))
    if (told.length < PAGE) continue
    yield* inPages(told)
    told = []
  }
  yield* inPages(told)
  return { status: 'complete', missing: [] }
}

function useOf(subject: NativeId, last: string | null | undefined, privilege: string | undefined): Observation[] {
  const at = whenOf(last)
  if (!at.known) return []
  const flow = privilege === undefined ? {} : { privilege }
  return [{ kind: 'usage', subject, semantics: 'auth', at: at.value, actor: unknown('unsupported'), ...flow }]
}
