import type { Command } from 'commander'
import { resolve } from 'node:path'
import { z } from 'zod'
import { explainPolicy, simulatePolicy } from '../../policy/contract.ts'
import { clientFor, formatOf } from '../calling.ts'
import { EXIT, usage } from '../failure.ts'
import type { Io } from '../io.ts'
import { withCommonOptions } from '../operation-command.ts'
import { printableLines } from '../output/printable.ts'
import { render } from '../output/render.ts'
import type { Parts, PolicyToolRequest } from '../parts.ts'
import { nounCommand } from './operations.ts'

type Common = { readonly output?: string; readonly context?: string }
type Asked = Common & {
  readonly subject?: string
  readonly action?: string
  readonly resource?: string
  readonly purpose?: string
  readonly proof?: string
  readonly case?: string
  readonly folder?: string
}

/** Work on policies: with a folder on this machine and no server, or with what the server in use decides by and has recorded. */
export function addPolicyCommands(program: Command, io: Io, parts: Parts, exit: (code: number) => void): void {
  const policy = nounCommand(program, 'policy')
  const show = async (request: PolicyToolRequest, options: Common) => {
    const { isGood, lines, data } = await parts.policy(request)
    await tellAll(io, options, lines, data)
    if (!isGood) exit(EXIT.usage)
  }
  const tool = (name: 'check' | 'test' | 'analyse', description: string) =>
    withOutput(policy.command(name).description(description).argument('<folder>', 'a folder of policies')).action(
      (folder: string, options: Common) => show({ tool: name, folder: resolve(io.workingFolder, folder) }, options),
    )
  tool('check', 'Says whether a folder of policies would load, and where not. Asks no server.')
  tool(
    'test',
    'Asks the questions of the *.test.yaml beside the policies, and names the policies none of them touches.',
  )
  tool('analyse', 'Finds policies that are shadowed, unreachable or very broad, as far as their text alone tells.')
  withOutput(
    policy
      .command('diff')
      .description(
        'What changes from one folder of policies to another, and which test questions are answered otherwise.',
      )
      .argument('<before>', 'a folder of policies')
      .argument('<after>', 'another one'),
  ).action((before: string, after: string, options: Common) =>
    show({ tool: 'diff', before: resolve(io.workingFolder, before), after: resolve(io.workingFolder, after) }, options),
  )
  addExplain(policy, io, show)
  addSimulate(policy, io, parts)
}

function addExplain(
  policy: Command,
  io: Io,
  show: (request: PolicyToolRequest, options: Common) => Promise<void>,
): void {
  withCommonOptions(
    policy
      .command('explain')
      .description(
        'Why something is or is not permitted: now, by the server in use, or of a test question of a folder.',
      ),
  )
    .option('--subject <name>', 'who, such as bob, or workload/migrator')
    .option('--action <name>', 'what, such as postgres.read')
    .option('--resource <type/id>', 'on what, such as account/app@orders')
    .option('--purpose <name>', 'an approved purpose')
    .option('--proof <kind>', 'how the subject proved itself; token if left out')
    .option('--folder <folder>', 'a folder of policies, with --case')
    .option('--case <name>', 'a test question of that folder, by its name')
    .action(async (options: Asked) => {
      if (options.folder !== undefined || options.case !== undefined) {
        if (options.folder === undefined || options.case === undefined) throw usage('--folder and --case go together.')
        await show(
          { tool: 'explain', folder: resolve(io.workingFolder, options.folder), question: options.case },
          options,
        )
        return
      }
      using client = clientFor(io, options)
      const explained = await client.ask(explainPolicy, { input: questionOf(options) })
      await tellAll(io, options, explained.lines, explained)
    })
}

function questionOf({ subject, action, resource, purpose, proof }: Asked): unknown {
  const missing = Object.entries({ subject, action, resource }).filter(([, value]) => value === undefined)
  if (missing.length > 0) throw usage(`Missing: ${missing.map(([name]) => `--${name}`).join(', ')}`)
  const [who, what] = [named(subject ?? '', 'identity'), named(resource ?? '', undefined)]
  return {
    subject: { ...who, ...(proof !== undefined && { properties: { proof } }) },
    action: { name: action },
    resource: what,
    ...(purpose !== undefined && { context: { purpose } }),
  }
}

function named(text: string, type: string | undefined): { type: string; id: string } {
  const at = text.indexOf('/')
  if (at > 0) return { type: text.slice(0, at), id: text.slice(at + 1) }
  if (type !== undefined && text !== '') return { type, id: text }
  throw usage('--resource takes a type and a name, such as account/app@orders.')
}

function addSimulate(policy: Command, io: Io, parts: Parts): void {
  withCommonOptions(
    policy
      .command('simulate')
      .description(
        'Asks the decisions that the server has recorded again by the policies of a folder, and says what would change.',
      )
      .argument('<folder>', 'a folder of policies'),
  )
    .option('--days <number>', 'how far back', '7')
    .action(async (folder: string, options: Common & { days: string }) => {
      const files = await parts.policyTexts(resolve(io.workingFolder, folder))
      if (files.length === 0) throw usage(`There is no policy in ${folder}.`)
      using client = clientFor(io, options)
      const made = await client.ask(simulatePolicy, { input: { files, days: Number(options.days) } })
      const changes = made.changes.map(
        ({ decisions, subject, action, resource, before, after }) =>
          `  ${decisions} × ${subject}, ${action}, ${resource}: ${before} → ${after}`,
      )
      await tellAll(io, options, [...made.lines, ...changes], made)
    })
}

function withOutput(command: Command): Command {
  return command.option('-o, --output <format>', 'table, json or yaml')
}

async function tellAll(io: Io, options: Common, lines: readonly string[], data: unknown): Promise<void> {
  const format = formatOf(io, options.output)
  if (format === 'json' || format === 'yaml') await render(io.stdout, format, z.unknown(), data)
  else io.stdout.write(`${lines.map((line) => printableLines(line)).join('\n')}\n`)
}
