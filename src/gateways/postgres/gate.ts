import type { LiveSession } from '../gateway.ts'
import { actionFor } from './actions.ts'
import type { Refusals, RefusalReport } from './refusals.ts'
import type { Analyser, Analysis } from './sql/analyse.ts'
import { UnreadableSql } from './sql/class.ts'
import { subjectOf, type Trace } from './trace.ts'
import { readBind, readClose, readExecute, readParse, readQuery } from './wire/decode.ts'
import { parse, query } from './wire/encode.ts'
import type { FrameTypes } from './wire/walk.ts'
import { sqlState, WireError } from './wire/wire-error.ts'

/** A client that keeps more named statements or portals than this is refused. */
const MOST_NAMES = 10_000

/** Everything after the login: statements are decided on, the rest is counted. */
export const sessionClientFrames: FrameTypes = { wanted: 'QPBECFXScf', counted: 'DHd' }

type Portal = { readonly analysis: Analysis; readonly values: readonly string[] }

export type GateNeeds = {
  readonly analyser: Analyser
  readonly live: Pick<LiveSession, 'refusal'>
  readonly refusals: Refusals
  readonly trace: Trace
  readonly serverMajor: number
  readonly onTerminate: () => void
}

/** Decides on each frame that the client sends before any of it reaches the server. */
export class Gate {
  readonly #needs: GateNeeds
  readonly #statements = new Map<string, Analysis>()
  readonly #portals = new Map<string, Portal>()

  constructor(needs: GateNeeds) {
    this.#needs = needs
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
        this.#close(readClose(bytes, start, end))
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

  #query(sql: string): Buffer | undefined {
    const analysis = this.#analyse(sql)
    if ('code' in analysis) {
      this.#needs.trace.query(unreadable, true)
      return query(this.#needs.refusals.failing(analysis))
    }
    const { action, refusal } = this.#decide(analysis)
    this.#needs.trace.query(subjectOf(analysis, action), refusal !== undefined)
    return refusal && query(this.#needs.refusals.failing(refusal))
  }

  #parse(bytes: Buffer, start: number, end: number): Buffer | undefined {
    const { statement, sql } = readParse(bytes, start, end)
    const analysis = this.#analyse(sql)
    if ('code' in analysis) return this.#failParse(statement, unreadable, analysis)
    const { action, refusal } = this.#decide(analysis)
    if (refusal) return this.#failParse(statement, subjectOf(analysis, action), refusal)
    if (this.#statements.size >= MOST_NAMES && !this.#statements.has(statement)) throw tooMany('prepared statements')
    this.#statements.set(statement, analysis)
    return undefined
  }

  #bind(bytes: Buffer, start: number, end: number): Buffer | undefined {
    const bind = readBind(bytes, start, end)
    const analysis = this.#statements.get(bind.statement)
    // The server says that there is no such statement.
    if (!analysis) return undefined
    const { action, refusal } = this.#decide(analysis)
    if (refusal) return this.#failParse('', subjectOf(analysis, action), refusal)
    if (this.#portals.size >= MOST_NAMES && !this.#portals.has(bind.portal)) throw tooMany('portals')
    this.#portals.set(bind.portal, { analysis, values: analysis.isSensitive ? [] : shown(bind) })
    return undefined
  }

  #execute(name: string): Buffer | undefined {
    const portal = this.#portals.get(name)
    if (!portal) {
      this.#needs.trace.execute(undefined, false)
      return undefined
    }
    const { action, refusal } = this.#decide(portal.analysis)
    const subject = subjectOf(portal.analysis, action, portal.values)
    if (refusal) return this.#failParse('', subject, refusal)
    this.#needs.trace.execute(subject, false)
    return undefined
  }

  #close({ kind, name }: { kind: 'S' | 'P'; name: string }): void {
    if (kind === 'S') this.#statements.delete(name)
    else this.#portals.delete(name)
  }

  /** In a pipeline a failing Parse makes the server skip to the Sync, as the refused message's own failure would. */
  #failParse(statement: string, subject: ReturnType<typeof subjectOf>, report: RefusalReport): Buffer {
    this.#statements.delete(statement)
    this.#needs.trace.execute(subject, true)
    return parse(statement, this.#needs.refusals.failing(report))
  }

  #refuseCall(): Buffer {
    this.#needs.trace.query({ ...unreadable, label: 'FunctionCall' }, true)
    return query(
      this.#needs.refusals.failing(
        report(sqlState.featureNotSupported, 'Function calls by number are not brokered; send the call as SQL.'),
      ),
    )
  }

  #analyse(sql: string): Analysis | RefusalReport {
    try {
      return this.#needs.analyser.analyse(sql)
    } catch (error) {
      if (error instanceof UnreadableSql) return { ...report(error.code, error.message), position: error.position }
      throw error
    }
  }

  /** The action that the recording names: the highest that the statement needs. */
  #decide(analysis: Analysis): { action: string; refusal: RefusalReport | undefined } {
    const { live, serverMajor } = this.#needs
    let action = 'postgres.session'
    const needs = analysis.assumesMajor > serverMajor ? [...analysis.needs, 'write' as const] : analysis.needs
    for (const need of needs) {
      if (need === 'forbidden') return { action: 'postgres.forbidden', refusal: never }
      const needed = actionFor(need)
      if (needed === undefined) continue
      action = needed
      const sentence = live.refusal(needed)
      if (sentence !== undefined) return { action, refusal: report(sqlState.insufficientPrivilege, sentence) }
    }
    return { action, refusal: undefined }
  }
}

const unreadable = { action: 'postgres.unreadable', label: 'unreadable', statement: '', sealed: [] } as const

const never: RefusalReport = {
  code: sqlState.insufficientPrivilege,
  message:
    'This is never brokered, whatever was granted: it would outlive the session or change how statements are read.',
  hint: 'Leave out PREPARE TRANSACTION and settings of client_encoding and standard_conforming_strings.',
}

function report(code: string, message: string): RefusalReport {
  return { code, message }
}

function tooMany(what: string): WireError {
  return new WireError(sqlState.programLimitExceeded, `This session keeps more than ${MOST_NAMES} ${what}.`)
}

/** Parameters as the recording keeps them: text as text, binary in hexadecimal. */
function shown(bind: ReturnType<typeof readBind>): string[] {
  return bind.values.map((value, index) => {
    if (value === null) return 'NULL'
    const format = bind.parameterFormats.length === 1 ? bind.parameterFormats[0] : bind.parameterFormats[index]
    return format === 1 ? `\\x${value.toString('hex')}` : value.toString('utf8')
  })
}
