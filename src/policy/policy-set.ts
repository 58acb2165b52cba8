import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { policyToJson, validate, type DetailedError, type PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { z } from 'zod'
import { sha256 } from '../kernel/crypto.ts'
import { readAnnotations } from './annotations.ts'
import { readWords, VOCABULARY_FILE, vocabularyInvalid, type Words } from './authzen/vocabulary.ts'
import { MAX_FAULTS, policySetInvalid, type Fault } from './faults.ts'
import type { Obligations } from './obligations.ts'
import { gateFault } from './operations-only.ts'
import { riskModelFrom, riskModelInvalid, SHIPPED_RISK_MODEL, type RiskModel } from './risk/model.ts'
import { ActionDeclaration, buildSchema, type PolicySchema } from './schema.ts'
import { positionOf, splitPolicies, type PolicyFile, type PolicySource } from './source.ts'

/** One policy of a set that was accepted. */
export type Policy = {
  readonly id: string
  /** Of the policy's exact text, from its first token to its semicolon: what an approval binds. */
  readonly sha256: string
  readonly effect: 'permit' | 'forbid'
  readonly file: string
  readonly line: number
  readonly text: string
  /** The policy in a sentence, in its author's words. */
  readonly why: string | null
  readonly obligations: Obligations
  /** The parsed form, for whoever compiles it. */
  readonly json: PolicyJson
}

/**
 * A version of the policies: immutable, named by its hash in every decision. One that fails validation is never made, so
 * there is nothing to load by mistake.
 */
export type PolicySet = {
  readonly sha256: string
  readonly schema: PolicySchema
  readonly policies: ReadonlyMap<string, Policy>
  /** The weights of the risk that its policies are told of. */
  readonly risk: RiskModel
  /** What enforcement points call things, and what is listed of them; `vocabularyOf(set)` reads it. */
  readonly words: Words
  /** What the validator finds odd but legal, such as a policy that can never match. */
  readonly warnings: readonly string[]
}

/**
 * The files of a folder of policies: `*.cedar`, `schema.cedarschema`, `actions.json` for Reeve's own operations,
 * `risk.json` where its weights are not the shipped ones, and `authzen.yaml` where enforcement points have words of their own.
 */
const SCHEMA_FILE = 'schema.cedarschema'
export const ACTIONS_FILE = 'actions.json'
export const RISK_FILE = 'risk.json'

/** Reads and checks a folder of policies. `actions` are those the folder does not declare: the catalog's. */
export async function loadPolicySet(folder: string, actions: readonly ActionDeclaration[] = []): Promise<PolicySet> {
  const listed = await readdir(folder)
  const names = listed.filter((name) => name.endsWith('.cedar')).sort()
  const files = await Promise.all(
    names.map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })),
  )
  const schema = await loadPolicySchema(folder, actions)
  const risk = listed.includes(RISK_FILE) ? await readRiskModel(join(folder, RISK_FILE)) : SHIPPED_RISK_MODEL
  const words = listed.includes(VOCABULARY_FILE) ? await readFile(join(folder, VOCABULARY_FILE), 'utf8') : ''
  return buildPolicySet(files, schema, risk, words)
}

/** What the policies of a folder are checked against, with actions that the folder does not declare. */
export async function loadPolicySchema(folder: string, actions: readonly ActionDeclaration[]): Promise<PolicySchema> {
  const own = await readActions(join(folder, ACTIONS_FILE))
  return buildSchema(await readFile(join(folder, SCHEMA_FILE), 'utf8'), [...own, ...actions])
}

async function readRiskModel(path: string): Promise<RiskModel> {
  return readRiskModelText(await readFile(path, 'utf8'))
}

/** The weights that the text of a risk.json has. Throws `riskModelInvalid`. */
export function readRiskModelText(text: string): RiskModel {
  try {
    return riskModelFrom(JSON.parse(text))
  } catch (error) {
    // Text that is no JSON is refused in the same words as a model that is not valid.
    throw error instanceof SyntaxError
      ? riskModelInvalid(`${RISK_FILE} is not JSON.`, { faults: ['it is not JSON'] })
      : error
  }
}

/** The actions a file declares: an object of name to groups and types. */
export async function readActions(path: string): Promise<ActionDeclaration[]> {
  const listed = z
    .record(z.string(), ActionDeclaration.omit({ name: true }))
    .parse(JSON.parse(await readFile(path, 'utf8')))
  return Object.entries(listed).map(([name, action]) => ({ name, ...action }))
}

/** Parses and validates every policy; throws `policySetInvalid` with each fault's file, policy and position. */
export function buildPolicySet(
  files: readonly PolicyFile[],
  schema: PolicySchema,
  risk: RiskModel = SHIPPED_RISK_MODEL,
  vocabulary = '',
): PolicySet {
  const faults: Fault[] = []
  const policies = new Map<string, Policy>()
  const sources = new Map<string, PolicySource>()
  for (const source of files.flatMap(splitPolicies)) {
    const read = readPolicy(source)
    if ('faults' in read) faults.push(...read.faults)
    else if (policies.has(read.policy.id)) faults.push(faultAt(source, read.policy.id, 0, 'another policy has this id'))
    else {
      const { policy } = read
      policies.set(policy.id, policy)
      sources.set(policy.id, source)
      const gate = gateFault(policy.json.action, policy.obligations, schema)
      if (gate !== undefined) {
        faults.push(faultAt(source, policy.id, offsetOfAnnotation(source.text, 'approval'), `@approval: ${gate}`))
      }
    }
  }
  refuseIfAny(faults)
  const warnings = validateAgainst(schema, policies, sources, faults)
  const words = wordsOf(vocabulary, schema, faults)
  refuseIfAny(faults)
  const lines = [...policies.values()].map((policy) => `${policy.id} ${policy.sha256}\n`).sort()
  // Without words of its own a set has the hash it always had.
  const spoken = vocabulary === '' ? '' : `words ${words.sha256}\n`
  const hash = sha256(`schema ${schema.sha256}\nrisk ${risk.sha256}\n${spoken}${lines.join('')}`).toString('hex')
  return { sha256: hash, schema, policies, risk, words, warnings }
}

/** The vocabulary is as much of a version as its policies: what is wrong with it refuses the set. */
function wordsOf(text: string, schema: PolicySchema, faults: Fault[]): Words {
  try {
    return readWords(text, schema)
  } catch (error) {
    if (!vocabularyInvalid.is(error)) throw error
    faults.push({ file: VOCABULARY_FILE, policy: 'vocabulary', line: 1, column: 1, message: error.message, help: null })
    return readWords('', schema)
  }
}

function refuseIfAny(faults: readonly Fault[]): void {
  if (faults.length === 0) return
  const sentences = faults.map((each) => `${each.file}:${each.line}:${each.column} (${each.policy}): ${each.message}`)
  throw policySetInvalid(`The policy set is not valid. ${sentences.slice(0, 5).join('; ')}`, {
    faults: faults.slice(0, MAX_FAULTS),
  })
}

function readPolicy(source: PolicySource): { policy: Policy } | { faults: Fault[] } {
  const fallbackId = `${source.file.name}:${source.index}`
  const parsed = policyToJson(source.text)
  if (parsed.type === 'failure') return { faults: parsed.errors.map((error) => faultOf(source, fallbackId, error)) }
  const { effect, annotations: written = {} } = parsed.json
  // The engine gives an annotation without a value as null, whatever its types say.
  const texts = Object.fromEntries(Object.entries(written).map(([name, text]) => [name, text ?? '']))
  const { annotations, faults } = readAnnotations(texts, effect)
  const id = annotations.id ?? fallbackId
  if (faults.length > 0) {
    return {
      faults: faults.map(({ annotation, message }) =>
        faultAt(source, id, offsetOfAnnotation(source.text, annotation), `@${annotation}: ${message}`),
      ),
    }
  }
  const { line } = positionOf(source, 0)
  const { why, obligations } = annotations
  const { text } = source
  const hash = sha256(text).toString('hex')
  return {
    policy: { id, sha256: hash, effect, file: source.file.name, line, text, why, obligations, json: parsed.json },
  }
}

function offsetOfAnnotation(text: string, annotation: string): number {
  const at = text.search(new RegExp(`@\\s*${annotation}\\b`))
  return Buffer.byteLength(text.slice(0, Math.max(0, at)))
}

function validateAgainst(
  schema: PolicySchema,
  policies: ReadonlyMap<string, Policy>,
  sources: ReadonlyMap<string, PolicySource>,
  faults: Fault[],
): string[] {
  const staticPolicies = policyTexts(policies)
  const answer = validate({ validationSettings: { mode: 'strict' }, schema: schema.json, policies: { staticPolicies } })
  if (answer.type === 'failure') {
    const nowhere = { file: '', policy: '', line: 0, column: 0 }
    for (const { message, help } of answer.errors) faults.push({ ...nowhere, message, help })
    return []
  }
  for (const { policyId, error } of answer.validationErrors) {
    const source = sources.get(policyId)
    if (source) faults.push(faultOf(source, policyId, error))
    else faults.push({ file: '', policy: policyId, line: 0, column: 0, message: error.message, help: error.help })
  }
  return answer.validationWarnings.map(({ policyId, error }) => `${policyId}: ${error.message}`)
}

/** Each policy's text under its id, the form that keeps ids stable (a single string would name them policy0, policy1 …). */
export function policyTexts(policies: ReadonlyMap<string, Policy>): Record<string, string> {
  return Object.fromEntries([...policies].map(([id, { text }]) => [id, text]))
}

function faultOf(source: PolicySource, id: string, error: DetailedError): Fault {
  const place = error.sourceLocations?.[0]
  const expected = place?.label ? ` (${place.label})` : ''
  return { ...faultAt(source, id, place?.start ?? 0, `${error.message}${expected}`), help: error.help }
}

function faultAt(source: PolicySource, policy: string, byteOffset: number, message: string): Fault {
  return { file: source.file.name, policy, ...positionOf(source, byteOffset), message, help: null }
}
