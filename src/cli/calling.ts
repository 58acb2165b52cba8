import { openClient, type Client } from './client.ts'
import { connectionOf } from './connection.ts'
import { usage } from './failure.ts'
import type { Io } from './io.ts'
import { FORMATS, type Format } from './output/render.ts'

/** The server in use, asked with the caller's proof. */
export function clientFor(io: Io, options: { readonly context?: string }): Client {
  return openClient(connectionOf(io, options.context))
}

/** The form of the answer: `-o`, else REEVE_OUTPUT, else a table. */
export function formatOf(io: Io, output: string | undefined): Format {
  const wanted = output ?? (io.env['REEVE_OUTPUT'] || 'table')
  const format = FORMATS.find((known) => known === wanted)
  if (!format) throw usage(`${wanted} is no form of output.`, `There are ${FORMATS.join(', ')}.`)
  return format
}
