/**
 * What a workflow file lets happen, in the form that GitHub, Gitea and Forgejo share: which code of others it runs and whether that is pinned, what its
 * token may, which secrets it reads, and whether code of strangers runs with them. Read as data; nothing of it is run.
 */
import { parseDocument } from 'yaml'

type Step = { readonly uses: string; readonly isPinned: boolean; readonly how: 'commit' | 'digest' | 'name' }
export type Workflow = {
  readonly triggers: readonly string[]
  readonly actions: readonly Step[]
  /** `write-all`, `read-all`, `none`, `declared`, or `default`, where the repository's settings decide. */
  readonly token: 'write-all' | 'read-all' | 'none' | 'declared' | 'default'
  /** What the token may, where the file says it: `contents: write`. */
  readonly permissions: readonly string[]
  readonly asksForIdToken: boolean
  readonly runsSelfHosted: boolean
  readonly secrets: readonly { readonly name: string; readonly where: string }[]
  /** Whether every secret is passed on to a workflow that it calls. */
  readonly passesAllSecrets: boolean
  /** With rights of the repository, on code of whoever proposes it. */
  readonly runsProposedCode: boolean
  /** Texts that anybody writes and that a script runs as part of itself. */
  readonly injected: readonly string[]
}

const TEXT_MAX = 512 * 1024
/** Aliases that expand: a file of a few lines could otherwise become gigabytes. */
const ALIASES_MAX = 50
const FOUND_MAX = 200
/** Events that run in the repository's own name although somebody from outside set them off. */
const BY_STRANGERS = new Set(['pull_request_target', 'workflow_run', 'issue_comment'])

/** Undefined where the text is no workflow that can be read. */
export function readWorkflow(text: string): Workflow | undefined {
  if (text.length > TEXT_MAX) return undefined
  let root: unknown
  try {
    const document = parseDocument(text, { uniqueKeys: false, logLevel: 'error' })
    if (document.errors.length > 0) return undefined
    root = document.toJS({ maxAliasCount: ALIASES_MAX })
  } catch {
    return undefined
  }
  const jobs = mapOf(mapOf(root)?.['jobs'])
  if (!jobs) return undefined
  const each = Object.entries(jobs).map(([name, job]) => ({ name, job: mapOf(job) ?? {} }))
  const triggers = triggersOf(mapOf(root)?.['on'])
  const steps = each.flatMap(({ job }) => listOf(job['steps']).map((step) => mapOf(step) ?? {}))
  const permissions = [mapOf(root)?.['permissions'], ...each.map(({ job }) => job['permissions'])]
  const isByStrangers = triggers.some((trigger) => BY_STRANGERS.has(trigger))
  return {
    triggers,
    actions: actionsOf(
      each.map(({ job }) => job),
      steps,
    ),
    token: tokenOf(permissions, each.length),
    permissions: [...new Set(permissions.flatMap(rightsOf))].slice(0, FOUND_MAX),
    asksForIdToken: permissions.some((given) => given === 'write-all' || mapOf(given)?.['id-token'] === 'write'),
    runsSelfHosted: each.some(({ job }) => /(^|,)self-hosted(,|$)/.test(runnersOf(job['runs-on']))),
    secrets: secretsOf(root, each),
    passesAllSecrets: each.some(({ job }) => job['secrets'] === 'inherit'),
    runsProposedCode: isByStrangers && steps.some(takesProposed),
    injected: [...new Set(steps.flatMap(injectedInto))].slice(0, FOUND_MAX),
  }
}

type Words = Readonly<Record<string, unknown>>

function mapOf(value: unknown): Words | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : undefined
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function triggersOf(on: unknown): string[] {
  if (typeof on === 'string') return [on]
  const names = Array.isArray(on) ? on : Object.keys(mapOf(on) ?? {})
  return names.filter((name) => typeof name === 'string').slice(0, FOUND_MAX)
}

function actionsOf(jobs: readonly Words[], steps: readonly Words[]): Step[] {
  const uses = [...jobs, ...steps]
    .map((each) => textOf(each['uses']).trim())
    .filter((text) => text !== '' && !text.startsWith('./'))
  return [...new Set(uses)].slice(0, FOUND_MAX).map(stepOf)
}

/** A name can be moved to other code at any time; the hash of a commit or of an image cannot. */
function stepOf(uses: string): Step {
  if (/@sha256:[0-9a-f]{64}$/.test(uses)) return { uses, isPinned: true, how: 'digest' }
  if (/@(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(uses)) return { uses, isPinned: true, how: 'commit' }
  return { uses, isPinned: false, how: 'name' }
}

function tokenOf(permissions: readonly unknown[], jobs: number): Workflow['token'] {
  const [top, ...ofJobs] = permissions
  if (permissions.includes('write-all')) return 'write-all'
  const said = [top, ...ofJobs].filter((given) => given !== undefined && given !== null)
  if (said.length === 0 || (top === undefined && ofJobs.filter((given) => given !== undefined).length < jobs))
    return 'default'
  if (said.includes('read-all')) return 'read-all'
  return said.every((given) => Object.keys(mapOf(given) ?? {}).length === 0) ? 'none' : 'declared'
}

function rightsOf(given: unknown): string[] {
  if (typeof given === 'string') return [given]
  return Object.entries(mapOf(given) ?? {}).flatMap(([name, level]) =>
    typeof level === 'string' ? [`${name}: ${level}`] : [],
  )
}

function runnersOf(runsOn: unknown): string {
  const labels = mapOf(runsOn)?.['labels'] ?? runsOn
  return (Array.isArray(labels) ? labels : [labels]).filter((label) => typeof label === 'string').join(',')
}

function secretsOf(root: unknown, jobs: readonly { readonly name: string; readonly job: Words }[]) {
  const found = new Map<string, { name: string; where: string }>()
  const look = (value: unknown, where: string) => {
    if (value === undefined) return
    for (const [, name = ''] of JSON.stringify(value).matchAll(
      /\bsecrets(?:\.|\[\\?['"])([A-Za-z_][A-Za-z0-9_]{0,199})/g,
    )) {
      if (!/^(GITHUB|GITEA|FORGEJO)_TOKEN$/i.test(name)) found.set(`${name} ${where}`, { name, where })
    }
  }
  look(mapOf(root)?.['env'], 'environment of all jobs')
  for (const { name, job } of jobs) {
    look(job['env'], `environment of job ${name}`)
    look([job['with'], job['secrets']], `inputs of job ${name}`)
    for (const step of listOf(job['steps']).map((each) => mapOf(each) ?? {})) {
      look(step['env'], `environment of a step of job ${name}`)
      look(step['with'], `inputs of a step of job ${name}`)
      look([step['run'], step['if']], `script of a step of job ${name}`)
    }
  }
  return [...found.values()].slice(0, FOUND_MAX)
}

const PROPOSED =
  /(?:github|gitea|forgejo)\.(?:head_ref|event\.(?:pull_request\.head|workflow_run\.head|number|pull_request\.number))|refs\/pull\//

/** Whether a step fetches what a stranger proposes. */
function takesProposed(step: Words): boolean {
  const given = mapOf(step['with'])
  if (/(^|\/)checkout@/.test(textOf(step['uses'])))
    return PROPOSED.test(`${textOf(given?.['ref'])} ${textOf(given?.['repository'])}`)
  const script = textOf(step['run'])
  return (
    /\bgh pr checkout\b/.test(script) ||
    (/\bgit (?:fetch|checkout|pull)\b/.test(script) &&
      (PROPOSED.test(script) || /\bpull\/.*\/(?:head|merge)\b/.test(script)))
  )
}

// GitHub, "Script injections": contexts that whoever opens an issue, a pull request or a branch writes.
const WRITTEN_BY_ANYBODY =
  /\$\{\{[^}]{0,300}?((?:github|gitea|forgejo)\.(?:head_ref|event\.(?:issue|pull_request|comment|review|discussion|head_commit)\.(?:title|body|message|head\.(?:ref|label)|author\.(?:name|email))))\b/g

function injectedInto(step: Words): string[] {
  const script = `${textOf(step['run'])}\n${textOf(mapOf(step['with'])?.['script'])}`
  return [...script.matchAll(WRITTEN_BY_ANYBODY)].map(([, context = '']) => context)
}
