import { policyToJson, schemaToJson } from '@cedar-policy/cedar-wasm/nodejs'
import { z } from 'zod'
import { CompiledSet } from '../../src/policy/compiled/compiled-set.ts'
import type { EntityStore } from '../../src/policy/compiled/entity-store.ts'
import { NotCompiled } from '../../src/policy/compiled/fault.ts'
import { jsonData } from '../../src/policy/compiled/json-data.ts'
import { readSchema } from '../../src/policy/compiled/schema-types.ts'
import { splitPolicies } from '../../src/policy/source.ts'
import { readExact } from './exact.ts'
import type { CorpusTest } from './run.ts'

export type Ended =
  | { readonly kind: 'equal'; readonly told?: undefined }
  | { readonly kind: 'fell back'; readonly told: string }
  | { readonly kind: 'different'; readonly told: string }

type Files = { readonly policies: string; readonly entities: string; readonly schema: string }

const Uid = z.union([
  z.object({ __entity: z.object({ type: z.string(), id: z.string() }) }),
  z.object({ type: z.string(), id: z.string() }),
])
const Entities = z.array(
  z.object({
    uid: Uid,
    attrs: z.record(z.string(), z.unknown()),
    parents: z.array(Uid),
    tags: z.record(z.string(), z.unknown()).optional(),
  }),
)

/** How each request of a test ended. */
export function askCorpus(test: CorpusTest, files: Files): Ended[] {
  try {
    const compiled = compile(files)
    const store = storeOf(compiled, files.entities)
    return test.requests.map((request) => ended(() => compare(compiled, store, request)))
  } catch (error) {
    return test.requests.map(() => endedBy(error))
  }
}

function compile({ schema, policies }: Files): CompiledSet {
  const json = schemaToJson(schema)
  if (json.type === 'failure') throw new Error(`the schema was refused: ${json.errors[0]?.message}`)
  const compiled = new CompiledSet(readSchema(json.json))
  for (const { text, index } of splitPolicies({ name: 'policies.cedar', text: policies })) {
    const parsed = policyToJson(text)
    if (parsed.type === 'failure') throw new Error(`policy ${index} was refused: ${parsed.errors[0]?.message}`)
    compiled.add({ id: `policy${index}`, json: parsed.json, text })
  }
  return compiled
}

function storeOf(compiled: CompiledSet, text: string): EntityStore {
  const given = Entities.parse(readExact(text)).map(({ uid, attrs, parents, tags }) => ({
    ...bare(uid),
    attributes: attrs,
    parents: parents.map(bare),
    ...(tags && { tags }),
  }))
  return compiled.store(jsonData, given)
}

function bare(uid: z.output<typeof Uid>): { type: string; id: string } {
  return '__entity' in uid ? uid.__entity : uid
}

function compare(compiled: CompiledSet, store: EntityStore, request: CorpusTest['requests'][number]): Ended {
  if (!request.validateRequest) throw new NotCompiled('The request is not to be validated.')
  const { decision, determining, errors } = compiled.authorize(store, request)
  const ours = print(
    decision ? 'allow' : 'deny',
    determining,
    errors.map(({ policy }) => policy),
  )
  const theirs = print(request.decision, request.reason, request.errors)
  return ours === theirs ? { kind: 'equal' } : { kind: 'different', told: `${ours} instead of ${theirs}` }
}

function print(decision: string, reasons: readonly string[], errors: readonly string[]): string {
  return JSON.stringify({ decision, reasons: reasons.toSorted(), errors: errors.toSorted() })
}

function ended(ask: () => Ended): Ended {
  try {
    return ask()
  } catch (error) {
    return endedBy(error)
  }
}

function endedBy(error: unknown): Ended {
  const told = error instanceof Error ? error.message : String(error)
  return error instanceof NotCompiled ? { kind: 'fell back', told } : { kind: 'different', told }
}
