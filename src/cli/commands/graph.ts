import type { Command } from 'commander'
import { readReach } from '../../governance/contract.ts'
import { readConsumers } from '../../inventory/contract.ts'
import { clientFor, formatOf } from '../calling.ts'
import type { Io } from '../io.ts'
import { withCommonOptions } from '../operation-command.ts'
import { besideText } from '../output/layouts.ts'
import { printable } from '../output/printable.ts'
import { render } from '../output/render.ts'

type Options = { readonly output?: string; readonly context?: string; readonly days?: string }

/** `reeve reach` and `reeve consumers`: what a copied credential reaches, and who breaks when it changes. */
export function addGraphCommands(program: Command, io: Io): void {
  withCommonOptions(
    program
      .command('reach')
      .description('Says what a credential, a principal or an identity reaches: what somebody has who copied it.')
      .argument('<thing>', 'name@source, an id of the inventory, or the name of an identity'),
  ).action((thing: string, options: Options) => reach(io, thing, options))
  withCommonOptions(
    program
      .command('consumers')
      .description('Says who breaks when a credential or the login of an account changes, and whether it was used.')
      .argument('<thing>', 'name@source, an id of an account, a principal or a credential, or the name of an identity'),
  )
    .option('--days <days>', 'of which time use is said', '90')
    .action((thing: string, options: Options) => consumers(io, thing, options))
}

async function reach(io: Io, thing: string, options: Options): Promise<void> {
  const format = formatOf(io, options.output)
  using client = clientFor(io, options)
  const found = await client.ask(readReach, { params: { thing } })
  if (format !== 'table') return render(io.stdout, format, readReach.output, readReach.output.encode(found))
  const { from, reached, tier0, isCut, coverage } = found
  const lines = [
    `${from.name} (${from.node}) leads to ${reached.length} things${isCut ? ' and more' : ''}, ${tier0} of tier 0`,
    ...reached.map(
      ({ hops, isTier0, from: by, words, to, evidence }) =>
        `${String(hops).padStart(3)} ${isTier0 ? 'tier 0 ' : '       '}${by.name} ${words} ${to.name}   [${evidence.kind}: ${evidence.what}]`,
    ),
  ]
  for (const line of lines) io.stdout.write(`${printable(line)}\n`)
  io.stdout.write(besideText(readReach.output.shape.coverage.encode(coverage), false))
}

/** How somebody is known whom no source told of. */
const KNOWN = {
  declared: 'a person said so',
  seen: 'a session at the target',
  gateway: 'a session through the gateway',
  reference: 'read where it is kept',
  use: 'told by a source',
} as const

async function consumers(io: Io, thing: string, options: Options): Promise<void> {
  const format = formatOf(io, options.output)
  using client = clientFor(io, options)
  const found = await client.ask(readConsumers, { params: { thing }, query: { days: Number(options.days) } })
  if (format !== 'table') return render(io.stdout, format, readConsumers.output, readConsumers.output.encode(found))
  const { use, consumers: all, more, coverage } = found
  const said = {
    used: `used, the last time at ${use.lastAt?.toISOString() ?? ''}`,
    unused: `not used from ${use.since.toISOString()} to ${use.until.toISOString()}: every login would have been seen`,
    'cannot-be-said': `whether it was used cannot be said: ${use.why.join('; ')}`,
  }[use.is]
  const lines = [
    said,
    ...(all.length === 0 ? ['nobody was seen to keep it or to use it'] : []),
    ...all.map(
      ({ name, source, by, how, location, lastAt, isCopy, isPresent }) =>
        `${by.padEnd(9)} ${name} (${source ?? KNOWN[by]})   ${how} ${location}${lastAt ? `   ${lastAt.toISOString()}` : ''}${isCopy ? '   keeps a copy of the secret' : ''}${isPresent ? '' : '   missed lately'}`,
    ),
    ...(more > 0 ? [`and ${more} more`] : []),
  ]
  for (const line of lines) io.stdout.write(`${printable(line)}\n`)
  io.stdout.write(besideText(readConsumers.output.shape.coverage.encode(coverage), false))
}
