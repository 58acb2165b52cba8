import { resolve } from 'node:path'
import type { Command } from 'commander'
import { proposePolicies } from '../../policy/contract.ts'
import { clientFor, formatOf } from '../calling.ts'
import { usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { withCommonOptions } from '../operation-command.ts'
import { render } from '../output/render.ts'
import type { Parts } from '../parts.ts'
import { nounCommand } from './operations.ts'

type Options = { readonly output?: string; readonly context?: string; readonly note?: string }

/** `reeve policy propose <folder>`: the server keeps the folder's files as a version, which others then let decide. */
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
      tell(io, `Let it decide: reeve policy activate ${version.id} --request-approval "<why>"`)
    })
}
