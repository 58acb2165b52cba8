/**
 * Configuration: one YAML file, `REEVE_…` variables and flags, the later over the earlier. Whatever is not known is refused with the nearest
 * known name, so that a slip of the pen is never a silent default.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse, YAMLError } from 'yaml'
import type { z } from 'zod'
import { CONFIG_KEYS, type ConfigKey } from './config/keys.ts'
import { nearest } from './config/nearest.ts'
import { ConfigSchema, type ConfigValues } from './config/schema.ts'

/** What was configured, whole and frozen: paths are absolute and the folders that depend on `home` are filled in. */
export type Config = Readonly<
  Omit<ConfigValues, 'policies' | 'recordings' | 'ledger'> & {
    policies: string
    /** Whether a folder of one's own was named: its files decide then, and no version in the database. */
    arePoliciesPinned: boolean
    recordings: string
    ledger: Omit<ConfigValues['ledger'], 'checkpointFile'> & { checkpointFile: string }
    /** The file that was read, if there was one. */
    file: string | undefined
  }
>

export type ConfigSources = {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Values by dotted key (`api.port`), as typed on the command line. */
  readonly flags?: Readonly<Record<string, string>>
  /** `--config`. */
  readonly file?: string
  readonly workingFolder: string
}

/** Thrown with one sentence per thing that is wrong; no value is quoted, since it may be a secret. */
export class ConfigInvalid extends Error {
  override readonly name = 'ConfigInvalid'
  readonly issues: readonly string[]

  constructor(issues: readonly string[]) {
    super(`the configuration is not valid:\n${issues.map((issue) => `  - ${issue}`).join('\n')}`)
    this.issues = issues
  }
}

/** Variables of the same prefix that are not configuration of the server: the client's own. */
const OTHER_VARIABLES = [
  'REEVE_CONFIG',
  'REEVE_ADDR',
  'REEVE_TOKEN',
  'REEVE_TOKEN_FILE',
  'REEVE_CACERT',
  'REEVE_OUTPUT',
  'REEVE_CLIENT_CERT',
  'REEVE_CLIENT_KEY',
  'REEVE_CONTEXT',
  'REEVE_CONTEXTS',
]
const IGNORED_PREFIX = 'REEVE_TEST_'
const FILE_SUFFIX = '_FILE'
const FILE_NAME = 'reeve.yaml'
const SHIPPED_POLICIES = join(import.meta.dirname, '..', '..', 'policies')
/** A configuration is a page; anything larger is another file. */
const FILE_MAX_BYTES = 1_000_000

/** Reads all sources: flag over variable over file over default. Throws `ConfigInvalid`. */
export function loadConfig(sources: ConfigSources): Config {
  const issues: string[] = []
  const above = new Map<string, unknown>([...fromEnv(sources.env, issues), ...fromFlags(sources.flags ?? {}, issues)])
  const file = chooseFile(sources, above)
  const tree = file === undefined ? {} : readTree(file.path, file.isRequired)
  if (file && !file.isRequired && 'home' in tree) issues.push('home cannot be set in the file that was found there')
  for (const [key, value] of above) put(tree, key.split('.'), value)
  const parsed = ConfigSchema.safeParse(tree)
  if (!parsed.success) issues.push(...parsed.error.issues.flatMap(sentences))
  if (!parsed.success || issues.length > 0) throw new ConfigInvalid(issues)
  return freeze(complete(parsed.data, sources.workingFolder, file?.path))
}

/** Every key with its variable, type, default and meaning, as Markdown. */
export function configReference(): string {
  const lines = [
    '# Configuration',
    '',
    `One YAML file: the one \`--config\` or \`REEVE_CONFIG\` names, else \`${FILE_NAME}\` in the home folder. A variable goes over the file and a`,
    `flag over both. A variable of a secret may end in \`${FILE_SUFFIX}\` and then names the file that holds it. What is not known is refused.`,
    '',
    '| key | variable | value | default | meaning |',
    '| --- | --- | --- | --- | --- |',
  ]
  for (const { key, variable, type, byDefault, description, isSecret } of CONFIG_KEYS) {
    const shown = key === 'node.name' ? 'the machine’s name' : defaultText(byDefault)
    const kind = `${type}${isSecret ? ', secret' : ''}`
    lines.push(`| \`${key}\` | \`${variable}\` | ${kind} | ${shown} | ${description} |`)
  }
  return `${lines.join('\n')}\n`
}

function fromEnv(env: ConfigSources['env'], issues: string[]): Map<string, unknown> {
  const found = new Map<string, unknown>()
  const known = [...CONFIG_KEYS.flatMap(variablesOf), ...OTHER_VARIABLES]
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith('REEVE_') || variable.startsWith(IGNORED_PREFIX) || text === undefined) continue
    if (OTHER_VARIABLES.includes(variable)) continue
    const key = CONFIG_KEYS.find((candidate) => variablesOf(candidate).includes(variable))
    if (!key) issues.push(unknown(variable, known))
    else if (found.has(key.key)) issues.push(`${key.variable} and ${key.variable}${FILE_SUFFIX} exclude each other`)
    else found.set(key.key, variable === key.variable ? key.fromText(text) : readSecret(variable, text, issues))
  }
  return found
}

function variablesOf(key: ConfigKey): string[] {
  return key.isSecret ? [key.variable, key.variable + FILE_SUFFIX] : [key.variable]
}

function readSecret(variable: string, path: string, issues: string[]): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    issues.push(`the file that ${variable} names cannot be read (${codeOf(error)})`)
    return undefined
  }
}

function fromFlags(flags: Readonly<Record<string, string>>, issues: string[]): Map<string, unknown> {
  const found = new Map<string, unknown>()
  for (const [name, text] of Object.entries(flags)) {
    const key = CONFIG_KEYS.find((candidate) => candidate.key === name)
    if (key) found.set(name, key.fromText(text))
    else issues.push(unknown(name, knownKeys()))
  }
  return found
}

function chooseFile(
  sources: ConfigSources,
  above: ReadonlyMap<string, unknown>,
): { path: string; isRequired: boolean } | undefined {
  const named = sources.file ?? sources.env['REEVE_CONFIG']
  if (named) return { path: resolve(sources.workingFolder, named), isRequired: true }
  const home = above.get('home')
  const path = resolve(sources.workingFolder, typeof home === 'string' ? home : '.reeve', FILE_NAME)
  return existsSync(path) ? { path, isRequired: false } : undefined
}

function readTree(path: string, isRequired: boolean): Record<string, unknown> {
  try {
    const text = readFileSync(path, 'utf8')
    if (text.length > FILE_MAX_BYTES) throw new ConfigInvalid([`${path} is too large to be a configuration`])
    // No aliases: a page of configuration needs none, and they multiply.
    const tree: unknown = parse(text, { maxAliasCount: 0, uniqueKeys: true, prettyErrors: false }) ?? {}
    if (!isTree(tree)) throw new ConfigInvalid([`${path} must hold a map of keys`])
    return tree
  } catch (error) {
    if (error instanceof YAMLError) {
      throw new ConfigInvalid([`${path} is not YAML that can be read (${error.code}, at character ${error.pos[0]})`])
    }
    if (error instanceof ReferenceError) throw new ConfigInvalid([`${path} uses aliases, which are not accepted`])
    if (error instanceof ConfigInvalid) throw error
    throw new ConfigInvalid([`${path} cannot be read (${codeOf(error)})${isRequired ? '' : ' though it is there'}`])
  }
}

function put(tree: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [first = '', ...rest] = path
  if (rest.length === 0) {
    tree[first] = value
    return
  }
  const below = tree[first]
  const inner = isTree(below) ? below : {}
  tree[first] = inner
  put(inner, rest, value)
}

function sentences(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => unknown([...issue.path, name].join('.'), knownKeys()))
  }
  return [`${issue.path.join('.') || 'the file'}: ${issue.message}`]
}

function knownKeys(): string[] {
  const whole = CONFIG_KEYS.map(({ key }) => key)
  return [...new Set(whole.flatMap((key) => key.split('.').map((_, at, parts) => parts.slice(0, at + 1).join('.'))))]
}

function unknown(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near ? `${name} is not known: did you mean ${near}?` : `${name} is not known`
}

function complete(values: ConfigValues, workingFolder: string, file: string | undefined): Config {
  const home = resolve(workingFolder, values.home)
  const absolute = (path: string | undefined) => (path === undefined ? undefined : resolve(workingFolder, path))
  return {
    ...values,
    home,
    file,
    policies: absolute(values.policies) ?? SHIPPED_POLICIES,
    arePoliciesPinned: values.policies !== undefined,
    recordings: absolute(values.recordings) ?? join(home, 'recordings'),
    teams: typeof values.teams === 'string' ? resolve(workingFolder, values.teams) : values.teams,
    calendar: absolute(values.calendar),
    tls: { ...values.tls, certFile: absolute(values.tls.certFile), keyFile: absolute(values.tls.keyFile) },
    ledger: { ...values.ledger, checkpointFile: absolute(values.ledger.checkpointFile) ?? join(home, 'checkpoint') },
  }
}

function freeze<T>(value: T): T {
  if (isTree(value) || Array.isArray(value)) {
    for (const member of Object.values(value)) freeze(member)
    Object.freeze(value)
  }
  return value
}

function isTree(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function defaultText(value: unknown): string {
  if (value === undefined) return ''
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
}
