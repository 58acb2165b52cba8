import { z } from 'zod'
import { EXIT, Failure, type ExitCode } from './failure.ts'
import { isRecord } from './record.ts'

/** RFC 9457 as the API sends it; what is missing or of another form is left out. */
const Body = z.object({
  type: z.string().catch(''),
  title: z.string().catch(''),
  detail: z.string().optional().catch(undefined),
  requestId: z.string().optional().catch(undefined),
  facts: z.record(z.string(), z.unknown()).catch({}),
})

/** The API answered that it will not: its sentence, what to do about it, and the exit code that fits. */
export class ApiProblem extends Failure {
  readonly slug: string
  readonly status: number
  readonly facts: Readonly<Record<string, unknown>>

  constructor(problem: {
    slug: string
    status: number
    facts: Record<string, unknown>
    sentence: string
    advice: string[]
  }) {
    super(exitCodeOf(problem.status, problem.slug), problem.sentence, problem.advice)
    this.slug = problem.slug
    this.status = problem.status
    this.facts = problem.facts
  }
}

/** The problem in an answer that was no success. `command` is what the user typed, for the advice. */
export function problemOf(status: number, text: string, command: string): ApiProblem {
  const body = Body.safeParse(parsed(text))
  const { type, title, detail, requestId, facts } = body.data ?? { type: '', title: '', facts: {} }
  const slug = type.split('/').at(-1) ?? ''
  const sentence = detail ?? (title === '' ? `The server answered ${status} and said no more.` : `${title}.`)
  // What the sentence says already is not said again.
  const more = adviceFor(slug, status, facts, command).filter((line) => !sentence.includes(line))
  const advice = [...more, ...(requestId ? [`The request was ${requestId}.`] : [])]
  return new ApiProblem({ slug, status, facts, sentence, advice })
}

/** Problems that mean that what was asked about is over. */
const OVER = /(?:-over|-expired|-void)$|^(?:enrolment-invalid|request-not-pending)$/

function exitCodeOf(status: number, slug: string): ExitCode {
  if (OVER.test(slug) || status === 410) return EXIT.over
  if (slug === 'insufficient-user-authentication' || slug === 'step-up-not-proven') return EXIT.pending
  if (slug === 'approval-owed' || slug === 'change-not-approved') return EXIT.pending
  if (status === 401 || status === 403) return EXIT.denied
  return status === 400 ? EXIT.usage : EXIT.server
}

function adviceFor(slug: string, status: number, facts: Record<string, unknown>, command: string): string[] {
  const listed = [...textsOf(facts['reasons']), ...textsOf(facts['missing']), ...textsOf(facts['owed'])]
  switch (slug) {
    case 'invalid-input':
      return [...issuesOf(facts['issues']), `What it takes: reeve ${command} --help`]
    case 'unauthenticated':
      return ['Enrol with a one-time link (reeve enrol <link>), or give a token (REEVE_TOKEN_FILE, reeve login).']
    case 'enrolment-invalid':
      return ['A link works once and not for long. Ask whoever sent it for a new one.']
    case 'not-found':
    case 'no-such-route':
      return [`See what there is: reeve ${listOf(facts['type']) ?? `${command.split(' ')[0] ?? ''} list`}`]
    case 'approval-owed':
      return [
        'Put it before them: the same command with --request-approval "<why>", and --wait to stay until they answer.',
      ]
    case 'source-unreachable':
      return ['Say it again with what is right: reeve connect corrects a source that is registered already.']
    case 'unknown-host':
      return ['Use a name or address that the server’s tls.names has.']
    default:
      break
  }
  if (listed.length > 0) return listed
  const waitSeconds = facts['retryAfterSeconds']
  if (typeof waitSeconds === 'number') return [`Try again in ${waitSeconds} s.`]
  return status >= 500 ? ['Try again; the server’s log says what happened.'] : []
}

/** The list that has what was not found; a command may have named several things. */
function listOf(type: unknown): string | undefined {
  switch (type) {
    case 'Identity':
    case 'Target':
    case 'Purpose':
    case 'Grant':
    case 'Session':
    case 'Lease':
      return `${type.toLowerCase()} list`
    case 'Change':
      return 'change list'
    case 'AccessRequest':
      return 'access list'
    case 'Account':
      return 'account list <target>'
    default:
      return undefined
  }
}

function issuesOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : []).filter(isRecord).map(({ path, message }) => {
    return typeof path === 'string' && path !== '' ? `${path}: ${String(message)}` : String(message)
  })
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((member) => typeof member === 'string') : []
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
