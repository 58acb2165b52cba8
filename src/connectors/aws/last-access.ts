/** When each user and role used which action last, as IAM itself kept it for up to 400 days ("Refine permissions using last accessed information"). */
import { xmlMembers, xmlText, type XmlElement } from '../../kernel/aws/xml.ts'
import { sleep } from '../../kernel/timer.ts'
import {
  Faltering,
  tellEach,
  unknown,
  Unreadable,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { entities, instantOf } from './account.ts'
import { call, orMissing, pages, type Iam } from './api.ts'

const GENERATE = 'GenerateServiceLastAccessedDetails'
const GET = 'GetServiceLastAccessedDetails'
/** A job takes a second or two. */
const TRIES = 60
const PAUSE_MS = 1_000

export async function* readLastAccess(iam: Iam, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  if (!iam.settings.withLastAccess) {
    const missing = {
      what: 'when which action was used last',
      why: 'it was switched off',
      permission: 'settings.withLastAccess',
    }
    return { status: 'unsupported', missing: [missing] }
  }
  const found: { readonly arn: string; readonly kind: string; readonly id: string }[] = []
  for await (const page of entities(iam, ['User', 'Role'], signal)) found.push(...page)
  const items = found.map(({ arn, kind, id }) => ({ key: arn, tell: () => usesOf(iam, arn, { kind, id }, signal) }))
  return yield* tellEach(orMissing, { items }, since, signal)
}

async function usesOf(
  iam: Iam,
  arn: string,
  subject: { kind: string; id: string },
  signal: AbortSignal,
): Promise<Observation[]> {
  const job = xmlText(await call(iam, GENERATE, { Arn: arn, Granularity: 'ACTION_LEVEL' }, signal), 'JobId')
  if (job === undefined) throw new Unreadable('IAM answered without a job')
  for (let tries = 0; tries < TRIES; tries += 1) {
    const told: Observation[] = []
    let state: string | undefined
    for await (const page of pages(iam, GET, { JobId: job }, signal)) {
      state = xmlText(page, 'JobStatus')
      if (state !== 'COMPLETED') break
      for (const service of xmlMembers(page, 'ServicesLastAccessed')) told.push(...usesOfService(service, subject))
    }
    if (state === 'COMPLETED') return told
    if (state !== 'IN_PROGRESS' && state !== 'FAILED') throw new Unreadable('IAM does not say how far its report is')
    if (state === 'FAILED') throw new Faltering('IAM could not tell what was used last')
    await sleep(PAUSE_MS, signal)
  }
  throw new Faltering('IAM did not end its report of what was used last')
}

/** The service as a whole, and of those that are tracked so the actions. What has no date was not used in that time, or is not tracked: nothing is said. */
function usesOfService(service: XmlElement, subject: { kind: string; id: string }): Observation[] {
  const name = xmlText(service, 'ServiceNamespace')
  if (name === undefined) return []
  const use = (at: Date | undefined, action: string): Observation[] =>
    at
      ? [
          {
            kind: 'usage',
            subject,
            semantics: 'api-call',
            at,
            privilege: `${name}:${action}`,
            actor: unknown('unsupported'),
          },
        ]
      : []
  return [
    ...use(instantOf(xmlText(service, 'LastAuthenticated')), '*'),
    ...xmlMembers(service, 'TrackedActionsLastAccessed').flatMap((action) =>
      use(instantOf(xmlText(action, 'LastAccessedTime')), xmlText(action, 'ActionName') ?? '*'),
    ),
  ]
}
