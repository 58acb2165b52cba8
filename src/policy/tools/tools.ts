/**
 * What `reeve policy` does with a folder of policies, without a server: check, test, diff, explain, analyse. Each gives lines for a person, the
 * same as data, and whether all is as it should be.
 */
import { z } from 'zod'
import { Problem } from '../../kernel/problem.ts'
import { openCedarEngine } from '../evaluate.ts'
import { ACTIONS_FILE } from '../policy-set.ts'
import type { ActionDeclaration } from '../schema.ts'
import { analyse } from './analyse.ts'
import { diffSets } from './diff.ts'
import { explain } from './explain.ts'
import { openPolicyFolder } from './folder.ts'
import { runCases } from './run-cases.ts'

export type ToolResult = { readonly isGood: boolean; readonly lines: readonly string[]; readonly data: unknown }

/** What is asked of which folder; `actions` are those of the catalog, which no folder declares. */
export type ToolRequest = { readonly actions: readonly ActionDeclaration[] } & (
  | { readonly tool: 'check' | 'test' | 'analyse'; readonly folder: string }
  | { readonly tool: 'diff'; readonly before: string; readonly after: string }
  | { readonly tool: 'explain'; readonly folder: string; readonly question: string }
)

/** Runs one of them. A folder that cannot be loaded is a result with the place of each fault, not an exception. */
export async function runPolicyTool(request: ToolRequest): Promise<ToolResult> {
  try {
    switch (request.tool) {
      case 'check':
        return await check(request.folder, request.actions)
      case 'test':
        return await test(request.folder, request.actions)
      case 'analyse':
        return await analyseFolder(request.folder, request.actions)
      case 'diff':
        return await diff(request.before, request.after, request.actions)
      case 'explain':
        return await explainCase(request.folder, request.question, request.actions)
    }
  } catch (error) {
    if (error instanceof Problem) {
      return { isGood: false, lines: faultLines(error), data: { problem: error.slug, ...error.facts } }
    }
    const line = fileFault(error)
    if (line === undefined) throw error
    return { isGood: false, lines: [line], data: { problem: 'file', message: line } }
  }
  return request satisfies never
}

type Actions = readonly ActionDeclaration[]

async function check(folder: string, actions: Actions): Promise<ToolResult> {
  const { set, cases } = await openPolicyFolder(folder, actions)
  const data = { sha256: set.sha256, policies: set.policies.size, tests: cases.length, warnings: set.warnings }
  return {
    isGood: true,
    lines: [
      ...set.warnings.map((warning) => `warning: ${warning}`),
      `${set.policies.size} policies are valid, version ${set.sha256}; ${cases.length} test questions can be asked.`,
    ],
    data,
  }
}

async function test(folder: string, actions: Actions): Promise<ToolResult> {
  const { set, cases } = await openPolicyFolder(folder, actions)
  using engine = openCedarEngine(set)
  const { results, untouched, policies } = runCases(engine, cases)
  const failed = results.filter(({ failures }) => failures.length > 0)
  const isGood = failed.length === 0
  return {
    isGood,
    lines: [
      ...failed.flatMap(({ file, line, name, failures }) => failures.map((why) => `${file}:${line}: ${name}: ${why}`)),
      ...untouched.map(({ file, line, id }) => `${file}:${line}: no test touches ${id}`),
      `${results.length - failed.length} of ${results.length} passed; ` +
        `${policies - untouched.length} of ${policies} policies are touched by a test.`,
    ],
    data: {
      passed: results.length - failed.length,
      failed: failed.map(({ file, line, name, failures }) => ({ file, line, name, failures })),
      policies,
      untouched,
    },
  }
}

async function analyseFolder(folder: string, actions: Actions): Promise<ToolResult> {
  const { set } = await openPolicyFolder(folder, actions)
  const { findings, notSeen } = analyse(set)
  return {
    isGood: true,
    lines: [
      ...findings.map(({ file, line, kind, policy, message }) => `${file}:${line}: ${kind}: ${policy}: ${message}`),
      `${findings.length} found. What this cannot see:`,
      ...notSeen.map((sentence) => `  ${sentence}`),
    ],
    data: { findings, notSeen },
  }
}

async function diff(before: string, after: string, actions: Actions): Promise<ToolResult> {
  const [old, fresh] = [await openPolicyFolder(before, actions), await openPolicyFolder(after, actions)]
  // A question that both ask is asked once, as the later one words it.
  const cases = new Map([...old.cases, ...fresh.cases].map((each) => [`${each.file}\n${each.name}`, each]))
  const made = diffSets(old.set, fresh.set, [...cases.values()])
  return {
    isGood: true,
    lines: [
      ...made.policies.map(({ kind, effect, id, note }) => `${kind} ${effect} ${id}${note === '' ? '' : `: ${note}`}`),
      ...(made.schemaChanged ? ['the schema or its actions changed'] : []),
      ...made.answers.map(({ file, name, before: was, after: is }) => `${file}: ${name}: ${was} → ${is}`),
      `${made.policies.length} policies differ; ${made.answers.length} of ${made.asked} test questions are answered otherwise.`,
    ],
    data: made,
  }
}

async function explainCase(folder: string, question: string, actions: Actions): Promise<ToolResult> {
  const { set, cases } = await openPolicyFolder(folder, actions)
  const found = cases.filter(({ name }) => name === question)
  const [asked] = found
  if (!asked) {
    const near = cases.filter(({ name }) => name.includes(question)).map(({ name }) => `  ${name}`)
    return { isGood: false, lines: [`No test question is called “${question}”.`, ...near.slice(0, 20)], data: { near } }
  }
  using engine = openCedarEngine(set)
  const { subject, onBehalfOf, action, resource, context, now, entities } = asked
  const { lines, links } = explain(
    engine,
    { subject, onBehalfOf, action: { name: action }, resource, context },
    { decisionId: question, now, epoch: set.sha256, entities },
  )
  return { isGood: true, lines, data: { lines, links } }
}

function faultLines({ message, facts }: Problem): string[] {
  const faults = Array.isArray(facts['faults']) ? facts['faults'] : []
  return faults.length === 0 ? [message] : faults.map((fault: unknown) => faultLine(fault))
}

/** What is wrong with a file that could not be read at all, or a list of actions that is none. */
function fileFault(error: unknown): string | undefined {
  if (error instanceof z.ZodError) return `${ACTIONS_FILE}: ${z.prettifyError(error)}`
  if (error instanceof SyntaxError) return `${ACTIONS_FILE} is not JSON: ${error.message}`
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  return /^E[A-Z]+$/.test(error.code) ? error.message : undefined
}

function faultLine(fault: unknown): string {
  if (typeof fault !== 'object' || fault === null) return String(fault)
  const { file, line, column, policy, message } = Object.fromEntries(Object.entries(fault))
  const place = [file, line, column].filter((part) => part !== undefined && part !== '').join(':')
  return [place, policy, message].filter((part) => part !== undefined && part !== '').join(': ')
}
