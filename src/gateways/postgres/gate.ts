import type { LiveSession, Passing } from '../gateway.ts'
import { actionFor } from './actions.ts'
import type { Holds } from './holds.ts'
import { isCutByServer, Names } from './names.ts'
import { ReplacedNames } from './replaced-names.ts'
import type { Refusals, RefusalReport } from './refusals.ts'
import type { Analyser, Analysis } from './sql/analyse.ts'
import { UnreadableSql } from './sql/class.ts'
import { subjectOf, type Subject, type Trace } from './trace.ts'
import { readBind, readClose, readExecute, readParse, readQuery } from './wire/decode.ts'
import { parse, query } from './wire/encode.ts'
import { WAIT, type FrameTypes } from './wire/walk.ts'
import { sqlState } from './wire/wire-error.ts'

/** Everything after the login: statements are decided on, the rest is counted. */
export const sessionClientFrames: FrameTypes = { wanted: 'QPBECDFXScf', counted: 'Hd' }

type Portal = {
  readonly analysis: Analysis
  readonly values: readonly string[]
  /** How many boundaries had been sent when it was bound. */
  readonly unit: number
}

export type GateNeeds = {
  readonly analyser: Analyser
  readonly live: Pick<LiveSession, 'refusal' | 'passing' | 'holding'>
  readonly holds: Pick<Holds, 'begin' | 'take'>
  /** A sentence for the client that refuses nothing. */
  readonly tell: (sentence: string) => void
  readonly refusals: Refusals
  readonly trace: Trace
  readonly serverMajor: number
  readonly onTerminate: () => void
}

/** Decides on each frame that the client sends before any of it reaches the server. */
export class Gate {
  readonly #needs: GateNeeds
  readonly #statements = new Names<Analysis>('prepared statements')
  readonly #portals = new Names<Portal>('portals')
  readonly #replaced: ReplacedNames
  /** So many boundaries had been sent when something ran code that nobody here sees. */
  #unseenSince = -1
  /** Portals bound before this many boundaries had been sent are gone. */
  #portalsSince = 0

  constructor(needs: GateNeeds) {
    this.#needs = needs
    this.#replaced = new ReplacedNames(needs.trace)
  }

  /** As `FrameHandler.frame`: undefined lets it pass, a buffer goes in its place. */
  frame(type: number, bytes: Buffer, start: number, end: number): Buffer | undefined {
    switch (type) {
      case 81: // Q
        return this.#query(readQuery(bytes, start, end))
      case 80: // P
        return this.#parse(bytes, start, end)
      case 66: // B
        return this.#bind(bytes, start, end)
      case 69: // E
        return this.#execute(readExecute(bytes, start, end).portal)
      case 67: // C
        return this.#close(readClose(bytes, start, end))
      case 68: // D: changes nothing, but may be what fails
        this.#needs.trace.change('describe')
        return undefined
      case 83: // S
        this.#needs.trace.sync()
        return undefined
      case 99: // c
      case 102: // f
        this.#needs.trace.copyEnd()
        return undefined
      case 88: // X
        this.#needs.onTerminate()
        return undefined
      case 70: // F: no statement to look at, so nothing to decide on
        return this.#refuseCall()
      default:
        return undefined
    }
  }

  /** ReadyForQuery outside a transaction: every portal that was bound before is closed. */
  transactionOver(): void {
    this.#portalsSince = this.#needs.trace.boundariesAnswered
    this.#portals.purge((portal) => portal.unit < this.#portalsSince)
  }

  #query(sql: string): Buffer | undefined {
    const { trace, refusals } = this.#needs
    const analysis = this.#analyse(sql)
    if ('code' in analysis) {
      trace.query(UNREADABLE, true)
      return query(refusals.failing(analysis))
    }
    const decided = this.#decide(analysis)
    const subject = subjectOf(analysis, decided.action, NOTHING, decided.wouldRefuse?.sentence)
    const refusal = decided.refusal ?? this.#hold(analysis, subject)
    if (refusal === 'wait') return WAIT
    trace.query(subject, refusal !== undefined)
    if (refusal) return query(refusals.failing(refusal))
    this.#letThrough(analysis, decided)
    return undefined
  }

  #parse(bytes: Buffer, start: number, end: number): Buffer | undefined {
    const { statement, sql } = readParse(bytes, start, end)
    if (isCutByServer(statement)) return this.#failParse(statement, unknown('PARSE'), TOO_LONG)
    const analysis = this.#analyse(sql)
    if ('code' in analysis) return this.#failParse(statement, UNREADABLE, analysis)
    const { action, refusal } = this.#decide(analysis)
    if (refusal) return this.#failParse(statement, subjectOf(analysis, action), refusal)
    const { trace } = this.#needs
    if (trace.isSkipping) return undefined
    this.#replaced.note(statement, this.#statements.get(statement) !== undefined)
    trace.change('parse', this.#statements.set(statement, analysis))
    return undefined
  }

  #bind(bytes: Buffer, start: number, end: number): Buffer | undefined {
    const { trace } = this.#needs
    if (trace.isSkipping) return undefined
    const bind = readBind(bytes, start, end)
    if (isCutByServer(bind.portal)) return this.#failParse('', unknown('BIND'), TOO_LONG)
    const analysis = this.#statements.get(bind.statement)
    if (!analysis) return this.#failParse('', unknown('BIND'), noStatement(bind.statement))
    if (!this.#replaced.isKnown(bind.statement)) return this.#failParse('', unknown('BIND'), TOO_SOON)
    const { action, refusal } = this.#decide(analysis)
    if (refusal) return this.#failParse('', subjectOf(analysis, action), refusal)
    const values = analysis.isSensitive ? NOTHING : shown(bind)
    trace.change('bind', this.#portals.set(bind.portal, { analysis, values, unit: trace.boundariesSent }))
    return undefined
  }

  #execute(name: string): Buffer | undefined {
    const { trace } = this.#needs
    const portal = this.#portals.get(name)
    if (!portal || portal.unit < this.#portalsSince) {
      if (trace.isSkipping) return undefined
      return this.#failParse('', unknown('EXECUTE'), noPortal(name))
    }
    const { analysis, values } = portal
    const decided = this.#decide(analysis)
    const subject = subjectOf(analysis, decided.action, values, decided.wouldRefuse?.sentence)
    const refusal = decided.refusal ?? this.#hold(analysis, subject)
    if (refusal === 'wait') return WAIT
    if (refusal) return this.#failParse('', subject, refusal)
    trace.execute(subject)
    this.#letThrough(analysis, decided)
    return undefined
  }

  /** Whether a statement that is not refused waits for a person, or what came of its wait. What the server skips anyway waits for nobody. */
  #hold(analysis: Analysis, subject: Subject): RefusalReport | 'wait' | undefined {
    const { holds, live, trace } = this.#needs
    const verdict = holds.take()
    if (verdict?.isCancelled) return CANCELLED
    if (verdict) return verdict.sentence === undefined ? undefined : refused(verdict.sentence)
    const heldAs = classOf(analysis)
    if (trace.isSkipping || heldAs === undefined || live.holding(heldAs) !== 'held') return undefined
    holds.begin({ class: heldAs, subject })
    return 'wait'
  }

  #letThrough(analysis: Analysis, { wouldRefuse }: Decided): void {
    if (wouldRefuse?.isTold)
      this.#needs.tell(`This target only warns; it would have been refused: ${wouldRefuse.sentence}`)
    this.#forgetNamed(analysis)
  }

  #close({ kind, name }: { kind: 'S' | 'P'; name: string }): Buffer | undefined {
    const { trace } = this.#needs
    if (trace.isSkipping) return undefined
    if (isCutByServer(name)) return this.#failParse('', unknown('CLOSE'), TOO_LONG)
    if (kind === 'S') this.#replaced.note(name, this.#statements.get(name) !== undefined)
    trace.change('close', (kind === 'S' ? this.#statements : this.#portals).delete(name))
    return undefined
  }

  /**
   * PREPARE and DECLARE in SQL put something else behind a name that messages use: it is used through SQL from then on, where it was
   * decided on and is seen.
   */
  #forgetNamed({ statements }: Analysis): void {
    for (const { names } of statements) {
      if (names?.kind === 'statement') this.#replaced.note(names.name, true)
      if (names) (names.kind === 'statement' ? this.#statements : this.#portals).delete(names.name)
    }
  }

  /** In a pipeline a failing Parse makes the server skip to the Sync, as the refused message's own failure would. */
  #failParse(statement: string, subject: Subject, report: RefusalReport): Buffer {
    const { trace, refusals } = this.#needs
    // The server drops the unnamed statement before it reads the one that fails.
    if (statement === '' && !trace.isSkipping) {
      this.#replaced.note('', this.#statements.get('') !== undefined)
      this.#statements.delete('')
    }
    trace.refuse(subject)
    return parse(statement, refusals.failing(report))
  }

  #refuseCall(): Buffer {
    this.#needs.trace.query(unknown('FUNCTION CALL'), true)
    return query(
      this.#needs.refusals.failing(
        report(sqlState.featureNotSupported, 'Function calls by number are not brokered; send the call as SQL.'),
      ),
    )
  }

  #analyse(sql: string): Analysis | RefusalReport {
    // Had that code turned standard_conforming_strings off, the server would read this text otherwise than we do (core 22). It says so
    // before its ReadyForQuery, and that ends the session.
    if (this.#needs.trace.boundariesAnswered <= this.#unseenSince && sql.includes('\\')) return NOT_YET
    try {
      return this.#needs.analyser.analyse(sql)
    } catch (error) {
      if (error instanceof UnreadableSql) return { ...report(error.code, error.message), position: error.position }
      throw error
    }
  }

  /** The action that the recording names: the highest that the statement needs. */
  #decide(analysis: Analysis): Decided {
    const { live, serverMajor } = this.#needs
    let action = 'postgres.session'
    let wouldRefuse: Passing | undefined
    const needs = analysis.assumesMajor > serverMajor ? [...analysis.needs, 'write' as const] : analysis.needs
    for (const need of needs) {
      if (need === 'forbidden') return { action: 'postgres.forbidden', refusal: NEVER, wouldRefuse }
      const needed = actionFor(need)
      if (needed === undefined) continue
      action = needed
      const sentence = live.refusal(needed)
      if (sentence !== undefined) return { action, refusal: refused(sentence), wouldRefuse }
      wouldRefuse = live.passing(needed) ?? wouldRefuse
    }
    if (analysis.statements.some(({ runsUnseen }) => runsUnseen)) this.#unseenSince = this.#needs.trace.boundariesSent
    const heldAs = classOf(analysis)
    if (heldAs !== undefined) {
      const holding = live.holding(heldAs)
      if (holding !== 'held') wouldRefuse ??= holding
    }
    return { action, refusal: undefined, wouldRefuse }
  }
}

type Decided = {
  readonly action: string
  readonly refusal: RefusalReport | undefined
  /** Why it would have been refused or held if the target enforced. */
  readonly wouldRefuse: Passing | undefined
}

/** The classes of operations that this gateway tells apart for holding. */
export const HELD_CLASSES = ['destructive', 'any'] as const

/** What may be held as what: nothing that needs no action, such as the end of a transaction. */
function classOf({ statements, needs }: Analysis): (typeof HELD_CLASSES)[number] | undefined {
  if (statements.some((statement) => statement.isDestructive)) return 'destructive'
  return needs.some((need) => need !== 'forbidden' && actionFor(need) !== undefined) ? 'any' : undefined
}

function refused(sentence: string): RefusalReport {
  return report(sqlState.insufficientPrivilege, sentence)
}

// As the server words it.
const CANCELLED: RefusalReport = { code: '57014', message: 'canceling statement due to user request' }

const NOTHING: readonly string[] = []
const UNREADABLE = unknown('UNREADABLE')

const NEVER: RefusalReport = {
  code: sqlState.insufficientPrivilege,
  message:
    'This is never brokered, whatever was granted: it would outlive the session or change how statements are read.',
  hint: 'Leave out PREPARE TRANSACTION and settings of client_encoding and standard_conforming_strings.',
}

const TOO_LONG: RefusalReport = {
  code: '42622',
  message: 'Names of prepared statements and portals have at most 63 bytes, and 15 characters where not all are ASCII.',
}

const NOT_YET: RefusalReport = {
  code: sqlState.featureNotSupported,
  message:
    'A statement with a backslash waits for the answer to the function, block or procedure that was sent before.',
  hint: 'Send values as parameters, or do not pipeline.',
}

const TOO_SOON: RefusalReport = {
  code: sqlState.featureNotSupported,
  message: 'This name stood for another statement. Wait for the answer to the new one before it is run.',
}

/** Something that was not run because nothing could be decided about it. */
function unknown(label: string): Subject {
  return { action: 'postgres.unreadable', label, statement: '', sealed: [] }
}

function report(code: string, message: string): RefusalReport {
  return { code, message }
}

/** As the server words it, or would: a name that SQL made is used through SQL. */
function noStatement(name: string): RefusalReport {
  return {
    code: '26000',
    message: name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${name}" does not exist`,
    hint: 'A statement that PREPARE made is run by EXECUTE.',
  }
}

function noPortal(name: string): RefusalReport {
  return {
    code: '34000',
    message: `portal "${name}" does not exist`,
    hint: 'A cursor that DECLARE made is read by FETCH.',
  }
}

/** Parameters as the recording keeps them: text as text, binary in hexadecimal. */
function shown(bind: ReturnType<typeof readBind>): readonly string[] {
  if (bind.values.length === 0) return NOTHING
  return bind.values.map((value, index) => {
    if (value === null) return 'NULL'
    const format = bind.parameterFormats.length === 1 ? bind.parameterFormats[0] : bind.parameterFormats[index]
    return format === 1 ? `\\x${value.toString('hex')}` : value.toString('utf8')
  })
}
