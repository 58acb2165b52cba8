/** What a `.gitlab-ci.yml` takes in from elsewhere, and whether its jobs get identity tokens. Read as data; includes are not followed. */
import { parseDocument } from 'yaml'

export type GitlabPipeline = {
  readonly includes: readonly { readonly uses: string; readonly isPinned: boolean; readonly how: 'commit' | 'name' }[]
  /** Audiences of `id_tokens`. */
  readonly audiences: readonly string[]
}

const TEXT_MAX = 512 * 1024
const ALIASES_MAX = 50
const FOUND_MAX = 200

/** Undefined where the text cannot be read as a pipeline. */
export function readGitlabPipeline(text: string): GitlabPipeline | undefined {
  if (text.length > TEXT_MAX) return undefined
  let root: unknown
  try {
    const document = parseDocument(text, {
      uniqueKeys: false,
      logLevel: 'error',
      // GitLab, "YAML optimization": `!reference` takes from another place of the file.
      customTags: [{ tag: '!reference', collection: 'seq', resolve: (value) => value }],
    })
    if (document.errors.length > 0) return undefined
    root = document.toJS({ maxAliasCount: ALIASES_MAX })
  } catch {
    return undefined
  }
  const top = mapOf(root)
  if (!top) return undefined
  const includes = (Array.isArray(top['include']) ? top['include'] : [top['include']]).flatMap(includeOf)
  const jobs = Object.values(top).map((job) => mapOf(job) ?? {})
  const tokens = jobs.flatMap((job) => Object.values(mapOf(job['id_tokens']) ?? {}))
  const audiences = tokens.flatMap((token) => mapOf(token)?.['aud']).filter((aud) => typeof aud === 'string')
  return { includes: includes.slice(0, FOUND_MAX), audiences: [...new Set(audiences)].slice(0, FOUND_MAX) }
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : undefined
}

/** What stands in the same repository, or is GitLab's own template, is nobody else's code. */
function includeOf(value: unknown): GitlabPipeline['includes'][number][] {
  const from = typeof value === 'string' ? { remote: value } : mapOf(value)
  const remote = from?.['remote']
  if (typeof remote === 'string' && /^https?:\/\//.test(remote)) {
    const isHashed = typeof mapOf(value)?.['integrity'] === 'string'
    return [{ uses: withoutLogin(remote), isPinned: isHashed, how: isHashed ? 'commit' : 'name' }]
  }
  const component = from?.['component']
  if (typeof component === 'string') return [pinned(component)]
  const project = from?.['project']
  if (typeof project !== 'string') return []
  const ref = from?.['ref']
  return [pinned(`${project}@${typeof ref === 'string' ? ref : 'default branch'}`)]
}

function pinned(uses: string): GitlabPipeline['includes'][number] {
  const isPinned = /@(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(uses)
  return { uses, isPinned, how: isPinned ? 'commit' : 'name' }
}

/** A query or a login in an address may be a secret. */
function withoutLogin(address: string): string {
  const url = URL.parse(address)
  return url ? `${url.protocol}//${url.host}${url.pathname}` : 'an address'
}
