import { resolve } from 'node:path'
import type { Command } from 'commander'
import { calendarVersions, catalogVersions, proposePolicies, teamVersions } from '../../policy/contract.ts'
import { clientFor, formatOf } from '../calling.ts'
import { usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { withCommonOptions } from '../operation-command.ts'
import { render } from '../output/render.ts'
import type { Parts } from '../parts.ts'
import { nounCommand } from './operations.ts'
import { textOf } from '../values.ts'

type Options = { readonly output?: string; readonly context?: string; readonly note?: string }

/** `reeve policy propose <folder>`, `reeve team propose <file>` and so on: the server keeps it as a version, which others then let decide. */
export function addPolicyVersionCommands(program: Command, io: Io, parts: Parts): void {
  withCommonOptions(
    nounCommand(program, 'policy')
      .command('propose')
      .description(proposePolicies.summary)
      .argument('<folder>', 'a folder of policies'),
  )
    .option('--note <text>', 'why, in a sentence')
    .action(async (folder: string, options: Options) => {
      const format = formatOf(io, options.output)
      const files = await parts.policyTexts(resolve(io.workingFolder, folder))
      if (files.length === 0) throw usage(`There is no policy in ${folder}.`)
      using client = clientFor(io, options)
      const input = { files, ...(options.note !== undefined && { note: options.note }) }
      const version = await client.ask(proposePolicies, { input })
      await render(io.stdout, format, proposePolicies.output, proposePolicies.output.encode(version))
      tellNext(io, 'policy', version.id)
    })
  addDocumentProposal(program, io, 'team', teamVersions.propose)
  addDocumentProposal(program, io, 'calendar', calendarVersions.propose)
  addDocumentProposal(program, io, 'catalog', catalogVersions.propose)
}

type Proposal = typeof teamVersions.propose | typeof calendarVersions.propose | typeof catalogVersions.propose

function addDocumentProposal(program: Command, io: Io, noun: string, operation: Proposal): void {
  withCommonOptions(
    nounCommand(program, noun)
      .command('propose')
      .description(operation.summary)
      .argument('<file>', 'the whole document, as YAML; - reads it from standard input'),
  )
    .option('--note <text>', 'why, in a sentence')
    .action(async (file: string, options: Options) => {
      const format = formatOf(io, options.output)
      const text = await textOf(io, file)
      using client = clientFor(io, options)
      const input = { text, ...(options.note !== undefined && { note: options.note }) }
      const version = await client.ask<Proposal>(operation, { input })
      await render(io.stdout, format, operation.output, operation.output.encode(version))
      tellNext(io, noun, version.id)
    })
}

function tellNext(io: Io, noun: string, version: string): void {
  tell(io, `Let it decide: reeve ${noun} activate ${version} --request-approval "<why>"`)
}
