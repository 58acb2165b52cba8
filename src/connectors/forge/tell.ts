/** How forges are told, so that the same thing is the same whichever forge has it. */
import {
  type credential,
  grant,
  known,
  principal,
  unknown,
  type Known,
  type NativeId,
  type Observation,
} from '../connector.ts'
export { credential, grant, principal, resource } from '../connector.ts'
import { Instant } from '../../kernel/instant.ts'
import type { Workflow } from './workflow.ts'

export const repository = (id: number | string): NativeId => ({ kind: 'repository', id: String(id) })
export const userOf = (id: number | string): NativeId => ({ kind: 'user', id: String(id) })
export const teamOf = (id: number | string): NativeId => ({ kind: 'team', id: String(id) })
export const organization = (id: number | string): NativeId => ({ kind: 'organization', id: String(id) })
/** A secret is known by where it is kept and its name: a forge gives it no id. */
export const ciSecret = (place: string, name: string): NativeId => ({ kind: 'ci-secret', id: `${place}/${name}` })

export function instantOf(text: string | null | undefined): Date | undefined {
  const at =
    typeof text === 'string'
      ? Instant.safeDecode(text.replace(/ UTC$/, 'Z').replace(/^(\S+) (\S+)Z$/, '$1T$2Z')).data
      : undefined
  // Forges written in Go say year 1 for never.
  return at && at.getTime() > 0 ? at : undefined
}

export function whenOf(text: string | null | undefined): Known<Date> {
  const at = instantOf(text)
  return at ? known(at) : unknown('unsupported')
}

export function levelOf(permission: string): ReturnType<typeof grant>['level'] {
  if (/owner|admin|maintain/i.test(permission)) return 'admin'
  if (/write|push|develop/i.test(permission)) return 'write'
  return /none/i.test(permission) ? 'use' : 'read'
}

/** `SHA256:…`, with or without its words; undefined for other forms. */
export function sshFingerprint(text: string | undefined): ReturnType<typeof credential>['fingerprints'] {
  const found = /SHA256:[A-Za-z0-9+/]{43}/.exec(text ?? '')?.[0]
  return found === undefined ? unknown('unsupported') : known([{ alg: 'ssh-sha256', value: found }])
}

/** Only where a hook leads: its path and query are often the secret themselves. */
export function hostOf(url: string | undefined): string {
  const found = url === undefined ? null : URL.parse(url)
  return found ? `${found.protocol}//${found.host}` : ''
}

/** What a token may where its file says nothing; undefined where that could not be seen. */
export type TokenDefault = { readonly right: 'read' | 'write'; readonly canApprove: boolean } | undefined

export type PipelinePlace = {
  readonly repository: { readonly id: number | string; readonly name: string }
  readonly path: string
  /** Whom its identity tokens are signed by. */
  readonly issuer: string
  readonly byDefault?: TokenDefault
}

/** A pipeline acts in the name of its file: a workload with rights, trusting whom its file trusts. */
export function tellWorkflow(
  workflow: Workflow,
  { repository: of, path, issuer, byDefault }: PipelinePlace,
): Observation[] {
  const id: NativeId = { kind: 'pipeline', id: `${of.id}:${path}` }
  const where = `${of.name}: ${path}`
  const isDeclared = workflow.token !== 'default'
  const settled = isDeclared ? undefined : byDefault
  const mayAll = workflow.token === 'write-all' || settled?.right === 'write'
  const level = workflow.permissions.some((right) => right.endsWith(': write')) ? 'write' : 'read'
  return [
    principal({
      id,
      type: 'workload',
      name: where,
      state: known('active'),
      interactive: known(false),
      facts: {
        triggers: [...workflow.triggers],
        token: workflow.token,
        runsSelfHosted: workflow.runsSelfHosted,
        passesAllSecrets: workflow.passesAllSecrets,
        runsProposedCode: workflow.runsProposedCode,
        injected: [...workflow.injected],
        unpinned: workflow.actions.filter(({ isPinned }) => !isPinned).length,
      },
    }),
    grant({
      id: { kind: 'pipeline-token', id: id.id },
      principal: id,
      on: repository(of.id),
      privilege:
        workflow.token === 'declared'
          ? workflow.permissions.join(', ')
          : `token: ${workflow.token}${settled ? `, which is ${settled.right}-all` : ''}`,
      level: mayAll ? 'admin' : level,
      facts: {
        permissions: [...workflow.permissions],
        isDeclared,
        // What the file does not say the repository does, where that could be seen.
        default: settled?.right ?? null,
        canApprove: settled?.canApprove ?? null,
      },
    }),
    ...(workflow.asksForIdToken
      ? [
          grant({
            id: { kind: 'pipeline-id-token', id: id.id },
            principal: id,
            on: { kind: 'token-issuer', id: issuer },
            privilege: 'id-token: write',
            level: 'use',
          }),
        ]
      : []),
    ...workflow.actions.map((action): Observation => ({
      kind: 'trust',
      id: { kind: 'pipeline-action', id: `${id.id}#${action.uses}` },
      from: { issuer: action.uses.replace(/@[^@]*$/, ''), claims: { ref: [action.uses.split('@').at(-1) ?? ''] } },
      to: id,
      wildcard: !action.isPinned,
      facts: { method: action.how, where: `${where} uses ${action.uses}` },
    })),
    ...strangersOf(workflow, id, where),
    ...secretUses(workflow.secrets, { id, of, path }),
  ]
}

/** That anybody's proposal sets it off in the repository's own name. */
function strangersOf(workflow: Workflow, id: NativeId, where: string): Observation[] {
  const events = workflow.triggers.filter((trigger) =>
    /^(pull_request_target|workflow_run|issue_comment)$/.test(trigger),
  )
  if (events.length === 0) return []
  const method = workflow.runsProposedCode
    ? 'runs-proposed-code'
    : workflow.injected.length > 0
      ? 'runs-proposed-text'
      : 'runs-own-code'
  return [
    {
      kind: 'trust',
      id: { kind: 'pipeline-trigger', id: id.id },
      from: { issuer: 'whoever proposes a change or writes a comment', claims: { event: events } },
      to: id,
      wildcard: true,
      facts: { method, where: `${where} on ${events.join(', ')}` },
    },
  ]
}

function secretUses(
  secrets: Workflow['secrets'],
  { id, of, path }: { readonly id: NativeId; readonly of: PipelinePlace['repository']; readonly path: string },
): Observation[] {
  return secrets.map(({ name, where }) => ({
    kind: 'reference',
    id: { kind: 'pipeline-secret', id: `${id.id}#${name}#${where}` },
    consumer: id,
    credential: ciSecret(`repository/${of.id}`, name),
    how: 'ci-secret',
    location: `${path}: ${where}`,
    evidence: 'static',
    facts: { isInEnvironment: where.startsWith('environment') },
  }))
}
