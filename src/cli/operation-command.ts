import { Command, Option } from 'commander'
import { usage } from './failure.ts'
import { documentOf, valueOf } from './values.ts'
import type { Operation } from '../kernel/operation.ts'
import type { Given } from './client.ts'
import type { Io } from './io.ts'
import type { CommandShape, Field } from './shape.ts'

/** What was typed for one operation. */
export type Typed = { readonly given: Given; readonly options: CommonOptions }

type CommonOptions = {
  readonly output?: string
  readonly context?: string
  readonly all?: boolean
  readonly from?: string
  readonly idempotencyKey?: string
  readonly requestApproval?: string
  readonly wait?: boolean
}

/** Verbs under which people look for others. */
const ALIASES: Readonly<Record<string, string>> = { list: 'ls', read: 'show' }

/** A command for one operation; `run` gets what was typed, read and checked against the operation's schemas. */
export function operationCommand(io: Io, shape: CommandShape, run: (typed: Typed) => Promise<void>): Command {
  const { operation, verb, params, fields } = shape
  const command = new Command(verb).description(operation.summary)
  const alias = ALIASES[verb]
  if (alias !== undefined) command.alias(alias)
  for (const { name, description } of params) command.argument(`<${kebab(name)}>`, description)
  for (const field of fields) for (const option of optionsOf(field)) command.addOption(option)
  if (shape.takesInput) {
    command.option(
      '--from <file>',
      'takes the fields from a file of JSON or YAML, - for standard input; options go over it',
    )
  }
  if (operation.method !== 'GET') {
    command.option(
      '--idempotency-key <key>',
      'names this write, so that repeating it by hand does it once; made by itself otherwise',
    )
  }
  if (isApprovable(operation)) {
    command
      .option('--request-approval <reason>', 'where others have to approve it: puts it before them, with the reason')
      .option('--wait', 'with --request-approval: waits for them, and then applies it')
  }
  if (shape.isPaged) command.option('--all', 'every page, not only the first')
  withCommonOptions(
    command,
    operation.answer === 'bytes' ? ['-o, --output <file>', 'where to; standard output otherwise'] : undefined,
  )
  return command.action(async () => run(await typedIn(io, shape, command)))
}

/** What changes something may be put before others, but for saying what one thinks of such a change. */
function isApprovable({ id, effect, caller, answer }: Operation): boolean {
  return effect === 'write' && caller === 'identity' && answer === 'json' && !id.startsWith('change.')
}

const FORMAT_OPTION = ['-o, --output <format>', 'table, wide, json, yaml or name'] as const

/** `-o` and `--context`, which every command that calls the server has. */
export function withCommonOptions(command: Command, output: readonly [string, string] = FORMAT_OPTION): Command {
  return command.option(...output).option('--context <name>', 'which server, of those that `reeve context list` shows')
}

function optionsOf(field: Field): Option[] {
  const { option, kind, isNullable, isRequired, description, byDefault } = field
  const notes = [
    description,
    kind === 'list' ? 'once for each' : '',
    kind.startsWith('secret') ? 'from this file, - for standard input' : '',
    byDefault === undefined || byDefault === null ? '' : `${JSON.stringify(byDefault)} by default`,
  ]
  const text = `${notes.filter((note) => note !== '').join('; ')}${isRequired ? ' (required)' : ''}`.trim()
  if (kind === 'boolean') return [new Option(`--${option}`, text), new Option(`--no-${option}`)]
  const made = new Option(`--${option} <${placeholder(field)}>`, text)
  if (kind === 'list' || kind === 'map') {
    made.argParser((value: string, before: string[] | undefined) => [...(before ?? []), checkedChoice(field, value)])
  } else if (field.choices) {
    made.choices(field.choices)
  }
  return isNullable ? [made, new Option(`--no-${option}`, `empties ${option}`)] : [made]
}

function checkedChoice(field: Field, value: string): string {
  if (field.choices && !field.choices.includes(value)) {
    throw usage(`--${field.option} takes ${field.choices.join(', ')}.`)
  }
  return value
}

function placeholder({ kind, choices }: Field): string {
  if (choices && kind !== 'list') return choices.join('|')
  const words = { list: 'value', map: 'key=value', 'secret-text': 'file', 'secret-json': 'file' }
  return kind in words ? words[kind === 'map' ? 'map' : kind === 'list' ? 'list' : 'secret-text'] : kind
}

async function typedIn(io: Io, shape: CommandShape, command: Command): Promise<Typed> {
  const { operation, params, fields } = shape
  const options = command.opts<CommonOptions & Record<string, unknown>>()
  const base = options.from === undefined ? {} : await documentOf(io, options.from)
  const query = new Map<string, unknown>()
  const input = new Map<string, unknown>(Object.entries(base))
  for (const field of fields) {
    const given = options[attributeOf(field)]
    if (given === undefined) continue
    const value = await valueOf(io, field, given)
    if (field.place === 'query') query.set(field.property, value)
    else input.set(field.property, value)
  }
  refuseMissing(shape, query, input)
  const given: Given = {
    params: Object.fromEntries(params.map(({ name }, at) => [name, command.args[at] ?? ''])),
    query: Object.fromEntries([...query].map(([name, value]) => [name, queryValue(value)])),
    ...(shape.takesInput && { input: Object.fromEntries(input) }),
    ...(options.idempotencyKey !== undefined && { idempotencyKey: options.idempotencyKey }),
    ...(options.requestApproval !== undefined && { requestApproval: options.requestApproval }),
  }
  check(shape, operation.params.safeParse(given.params))
  check(shape, operation.query.safeParse(given.query))
  if (shape.takesInput) check(shape, operation.input.safeParse(given.input))
  return { given, options }
}

function refuseMissing(
  shape: CommandShape,
  query: ReadonlyMap<string, unknown>,
  input: ReadonlyMap<string, unknown>,
): void {
  const missing = shape.fields.filter(
    ({ isRequired, place, property }) => isRequired && !(place === 'query' ? query : input).has(property),
  )
  if (missing.length === 0) return
  const options = missing.map((field) => `--${field.option} <${placeholder(field)}>`)
  throw usage(`Missing: ${options.join(', ')}`, `What it takes: reeve ${shape.noun} ${shape.verb} --help`)
}

type Parsed = {
  success: boolean
  error?: { issues: readonly { path: readonly PropertyKey[]; message: string }[] } | undefined
}

/** The same schemas the server has, so that a slip is named by its option before anything is sent. */
function check(shape: CommandShape, parsed: Parsed): void {
  if (parsed.success || !parsed.error) return
  const lines = parsed.error.issues.map(({ path, message }) => {
    const [first, ...rest] = path.map(String)
    const field = shape.fields.find(({ property }) => property === first)
    const place = field ? [`--${field.option}`, ...rest].join('.') : path.map(String).join('.')
    return place === '' ? message : `${place}: ${message}`
  })
  throw usage('This cannot be sent as it is.', ...lines, `What it takes: reeve ${shape.noun} ${shape.verb} --help`)
}

/** A query is text on the wire. */
function queryValue(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string') return String(value)
  return Array.isArray(value) ? value.join(',') : JSON.stringify(value)
}

function attributeOf(field: Field): string {
  return new Option(`--${field.option}${field.kind === 'boolean' ? '' : ' <value>'}`).attributeName()
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
