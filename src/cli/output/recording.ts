import type { EndLine, PlayedLine, RecordedLine, RecordingHeader } from '../../sessions/contract.ts'
import { printable, printableLines } from './printable.ts'

/** One line of a recording as a person reads it; whatever the statement holds, it cannot steer the terminal. */
export function recordedText(line: PlayedLine): string {
  if (line.type === 'header') return headerText(line)
  return line.type === 'operation' ? operationText(line) : endText(line)
}

function endText({ endedAt, reason, operations, late }: EndLine): string {
  const lateText = late.length === 0 ? '' : `; began after the end: ${late.map((n) => `#${n}`).join(', ')}`
  return `ended ${endedAt.toISOString()}: ${printable(reason)}; ${operations} operations${lateText}\n`
}

function headerText({
  session,
  startedAt,
  subject,
  onBehalfOf,
  target,
  account,
  grant,
  mode,
}: RecordingHeader): string {
  const owner = [subject.ownerTeam, subject.ownerName].filter((name) => name !== null).join('/')
  const facts = [
    `session ${session}, recorded ${mode === 'full' ? 'in full (values are sealed)' : 'without values'}`,
    `began   ${startedAt.toISOString()}`,
    `who     ${subject.name} (${subject.kind}, tier ${subject.tier}${owner === '' ? ', nobody owns it' : `, owned by ${owner}`})`,
    ...(onBehalfOf ? [`for     ${onBehalfOf.name}`] : []),
    `where   ${account}@${target.name} (${target.environment})`,
    `why     ${grant.purpose}${grant.ticket === null ? '' : `, ticket ${grant.ticket}`}${grant.task === null ? '' : `, task ${grant.task}`}`,
    `may     ${grant.actions.join(', ')} until ${grant.expiresAt.toISOString()}`,
  ]
  return `${facts.map(printable).join('\n')}\n\n`
}

function operationText(line: RecordedLine): string {
  const { n, atMs, action, outcome, rows, durationMs, statement, values, error, sealedValues = 0 } = line
  const ended = outcome === 'done' ? `${rows} rows` : outcome
  const sealed = sealedValues > 0 && !values ? `, ${sealedValues} values sealed` : ''
  const head = `${offset(atMs)}  #${n} ${action}  ${ended}  ${durationMs.toFixed(1)} ms${sealed}`
  const cut = line.statementLength === undefined ? '' : ` … (${line.statementLength} characters in all)`
  const body = [
    ...`${printableLines(statement)}${cut}`.split('\n'),
    ...(values ?? []).map((value, at) => `$${at + 1} = ${printable(value)}`),
    ...(line.wouldRefuse === undefined ? [] : [`would have been refused: ${printable(line.wouldRefuse)}`]),
    ...(error ? [`${printable(error.code)}: ${printable(error.message ?? 'its message is sealed')}`] : []),
  ]
  return `${printable(head)}\n${body.map((text) => `    ${text}\n`).join('')}`
}

/** `+01:02:03.456` after the session began. */
function offset(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  const millis = String(Math.floor(ms % 1000)).padStart(3, '0')
  return `+${two(Math.floor(seconds / 3600))}:${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}.${millis}`
}
