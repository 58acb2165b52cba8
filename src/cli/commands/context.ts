import type { Command } from 'commander'
import { changeContexts, readContexts } from '../contexts.ts'
import { usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { printable } from '../output/printable.ts'
import { table } from '../output/table.ts'

/** The servers and identities this user has proofs for. */
export function addContextCommands(program: Command, io: Io): void {
  const context = program.command('context').description('Servers you have enrolled at: list, use.')
  context
    .command('list')
    .alias('ls')
    .description('Lists them; the one in use has a star.')
    .action(() => {
      const { contexts, current } = readContexts(io)
      const rows = Object.entries(contexts)
      if (rows.length === 0) return tell(io, 'You have enrolled nowhere yet: reeve enrol <link>')
      io.stdout.write(
        table([
          { title: '', cells: rows.map(([name]) => (name === current ? '*' : '')) },
          { title: 'name', cells: rows.map(([name]) => name) },
          { title: 'identity', cells: rows.map(([, { identity }]) => identity ?? '-') },
          { title: 'address', cells: rows.map(([, { address }]) => address) },
          { title: 'proof', cells: rows.map(([, { key }]) => (key === undefined ? 'token' : 'token bound to a key')) },
          { title: 'expires', cells: rows.map(([, { expiresAt }]) => expiresAt ?? '-') },
        ]),
      )
    })
  context
    .command('use')
    .description('Makes one the one that commands call.')
    .argument('<name>')
    .action(async (name: string) => {
      await changeContexts(io, (found) => {
        if (Object.hasOwn(found.contexts, name)) return { ...found, current: name }
        throw usage(
          `There is no context named ${printable(name)}.`,
          `There are: ${Object.keys(found.contexts).join(', ') || 'none'}`,
        )
      })
      tell(io, `${name} is in use.`)
    })
}
