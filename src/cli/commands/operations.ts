import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { AccessRequest, requestAccess } from '../../access/contract.ts'
import { Enrolment, enrolIdentity, redeemEnrolment } from '../../identities/contract.ts'
import type { Operation } from '../../kernel/operation.ts'
import {
  calendarVersions,
  catalogVersions,
  explainPolicy,
  proposePolicies,
  simulatePolicy,
  teamVersions,
} from '../../policy/contract.ts'
import { PlayedLine, followSession, playSession, revealSession } from '../../sessions/contract.ts'
import { tillDone } from '../adoption.ts'
import { clientFor, formatOf } from '../calling.ts'
import type { Client } from '../client.ts'
import { EXIT, Failure } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { appliedAnswer, changeIn, leaveWaiting } from '../change.ts'
import { linkFor } from '../link.ts'
import { operationCommand, type Typed } from '../operation-command.ts'
import { printable, printableLines } from '../output/printable.ts'
import { recordedText } from '../output/recording.ts'
import { render, rowsOf } from '../output/render.ts'
import { isRecord } from '../record.ts'
import { shapeOf, type CommandShape } from '../shape.ts'
import { callSteppedUp } from '../step-up.ts'
import { tellShortened, tellWarnings } from '../shortened.ts'

/** What has a command by hand that does more. */
const BY_HAND = new Set<string>([
  redeemEnrolment.id,
  'ledger.export',
  'ledger.prove',
  explainPolicy.id,
  simulatePolicy.id,
  proposePolicies.id,
  teamVersions.propose.id,
  calendarVersions.propose.id,
  catalogVersions.propose.id,
])

/** A command for each operation, `reeve <noun> <verb>`. */
export function addOperationCommands(program: Command, io: Io, operations: readonly Operation[]): void {
  const shapes = operations.filter(({ id }) => !BY_HAND.has(id)).map(shapeOf)
  for (const [noun, ofNoun] of Map.groupBy(shapes, (shape) => shape.noun)) {
    const parent = nounCommand(program, noun)
    parent.description(ofNoun.map(({ verb }) => verb).join(', '))
    for (const shape of ofNoun) {
      const command = operationCommand(io, shape, (typed) => run(io, shape, typed))
      parent.addCommand(command.copyInheritedSettings(parent))
    }
  }
}

/** The command of a noun, made when there is none yet. */
export function nounCommand(program: Command, noun: string): Command {
  return program.commands.find((command) => command.name() === noun) ?? program.command(noun)
}

async function run(io: Io, shape: CommandShape, typed: Typed): Promise<void> {
  const { operation } = shape
  using client = clientFor(io, typed.options)
  if (operation.answer === 'bytes') return keepBytes(io, await client.bytes(operation, typed.given), typed, operation)
  const format = formatOf(io, typed.options.output)
  if (operation.answer === 'stream') {
    for await (const line of client.stream(operation, typed.given)) io.stdout.write(streamed(operation, format, line))
    return
  }
  const called = typed.options.all
    ? await everyPage(client, operation, typed)
    : await callSteppedUp(io, client, operation, typed.given)
  const change = changeIn(operation, called)
  if (change && !typed.options.wait) return leaveWaiting(io, format, change)
  const first = change ? await appliedAnswer(io, client, change) : called
  const answer = await tillDone(io, client, operation, typed.given, first)
  await render(io.stdout, format, operation.output, withLink(client, operation, answer))
  if (operation.id === requestAccess.id) tellIfShortened(io, typed, answer)
  tellWarnings(io, answer)
  const cursor = isRecord(answer) ? answer['nextCursor'] : undefined
  if (typeof cursor === 'string') tell(io, `There is more: --all, or --cursor ${printable(cursor)}`)
}

/** Bytes go where they were asked to, as they are; a terminal shows text alone. */
async function keepBytes(io: Io, bytes: Buffer, { options }: Typed, { mediaType }: Operation): Promise<void> {
  if (options.output !== undefined) {
    return writeFile(resolve(io.workingFolder, options.output), bytes, { mode: 0o600 })
  }
  if (!io.stdout.isTTY) io.stdout.write(bytes)
  else if (mediaType.startsWith('text/')) io.stdout.write(printableLines(bytes.toString('utf8')))
  else throw new Failure(EXIT.usage, 'These are bytes, which a terminal does not show.', ['Name a file: -o <file>'])
}

/** Of a time that was typed; one that was left out is nobody's wish. */
function tellIfShortened(io: Io, { given }: Typed, answer: unknown): void {
  const request = AccessRequest.safeParse(answer)
  if (request.success && isRecord(given.input) && 'ttlSeconds' in given.input) tellShortened(io, request.data)
}

const PLAYED = new Set<string>([playSession.id, followSession.id, revealSession.id])

function streamed(operation: Operation, format: string, line: unknown): string {
  const isForPeople = (format === 'table' || format === 'wide') && PLAYED.has(operation.id)
  const played = isForPeople ? PlayedLine.safeParse(line) : undefined
  return played?.success ? recordedText(played.data) : `${printableLines(JSON.stringify(line))}\n`
}

/** Pages hold 200 rows at most; a list longer than this is for a query, not for a terminal. */
const MOST_PAGES = 500

async function everyPage(client: Client, operation: Operation, { given }: Typed): Promise<unknown> {
  const items: unknown[] = []
  let cursor: string | undefined
  for (let count = 0; count < MOST_PAGES; count += 1) {
    const page = await client.call(operation, {
      ...given,
      query: { ...given.query, ...(cursor !== undefined && { cursor }) },
    })
    items.push(...(rowsOf(page) ?? []))
    const next = isRecord(page) ? page['nextCursor'] : undefined
    // What a page says beside its rows, of what was not seen, is said of all of them.
    if (typeof next !== 'string') return isRecord(page) ? { ...page, items } : { items, nextCursor: null }
    cursor = next
  }
  throw new Failure(EXIT.usage, 'There is more than a terminal is for.', ['Narrow it with the options of the list.'])
}

/** A secret of enrolment is used as a link, which only who knows the server's address and CA can make. */
function withLink(client: Client, operation: Operation, answer: unknown): unknown {
  if (operation.id !== enrolIdentity.id) return answer
  const enrolment = Enrolment.safeParse(answer)
  if (!enrolment.success || !isRecord(answer)) return answer
  const { secret, ...rest } = answer
  void secret
  const { address, authority } = client.connection
  return { ...rest, link: linkFor(address, enrolment.data.secret, authority) }
}
