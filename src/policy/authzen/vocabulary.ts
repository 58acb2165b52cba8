import { parseDocument, type Document } from 'yaml'
import { z } from 'zod'
import { sha256 } from '../../kernel/crypto.ts'
import type { EntityRef } from '../../kernel/permit.ts'
import { problem } from '../../kernel/problem.ts'
import type { Entity } from '../entity.ts'
import type { PolicySchema } from '../schema.ts'
import { attributesOf, fitted, isAction, type Attributes } from '../typing.ts'

/**
 * How enforcement points call what policies call, and what is known of things that are not in Reeve's record. A file of the policies and
 * of their version; without one every name is taken as it is.
 */
export type Vocabulary = {
  readonly sha256: string
  /** The policies' type for a word: an alias, else the word in the form of a type (`access-request` is `AccessRequest`). */
  typeOf(word: string): string | undefined
  /** The policies' action for a word: an alias, else the word itself. */
  actionOf(word: string): string | undefined
  /** How enforcement points call an action. */
  wordOfAction(action: string): string
  /** The things of a type that are listed; undefined where none are, and then an enforcement point may name any. */
  listed(type: string): ReadonlyMap<string, Entity> | undefined
}

export const VOCABULARY_FILE = 'authzen.yaml'

export const vocabularyInvalid = problem(
  'vocabulary-invalid',
  422,
  'The vocabulary of enforcement points is not valid',
  {
    faults: z.array(z.string()).max(100),
  },
)

const Word = z.string().min(1).max(256)
const File = z.strictObject({
  types: z.record(Word, Word).default({}),
  actions: z.record(Word, Word).default({}),
  entities: z.record(Word, z.record(z.string().max(512), z.record(Word, z.unknown()).nullable())).default({}),
})

/** What stands in place of attributes: the groups a thing is in, each as `Type/id`. */
const GROUPS = 'in'
const MAX_BYTES = 16_000_000
const MAX_FAULTS = 100

/** The file as it was read, in plain values: a version of the policies carries it from thread to thread. */
export type Words = z.output<typeof File> & { readonly sha256: string; readonly text: string }

/** Reads the text of the file and holds it against the schema; throws `vocabularyInvalid`. */
export function readWords(text: string, schema: PolicySchema): Words {
  const words = { ...read(text), text, sha256: sha256(text).toString('hex') }
  const faults: string[] = []
  build(words, schema, faults)
  if (faults.length > 0) refuse(faults)
  return words
}

const built = new WeakMap<Words, Vocabulary>()

/** The vocabulary of a version: it decides what is asked together with that version's policies, and with no others. */
export function vocabularyOf({ words, schema }: { readonly words: Words; readonly schema: PolicySchema }): Vocabulary {
  const known = built.get(words) ?? build(words, schema, [])
  built.set(words, known)
  return known
}

/** A vocabulary from the text of the file. */
export function parseVocabulary(text: string, schema: PolicySchema): Vocabulary {
  return vocabularyOf({ words: readWords(text, schema), schema })
}

function build({ types, actions, entities, sha256: hash }: Words, schema: PolicySchema, faults: string[]): Vocabulary {
  for (const [word, type] of Object.entries(types)) {
    if (!attributesOf(schema, type)) faults.push(`types.${word}: the schema has no type ${type}`)
  }
  for (const [word, action] of Object.entries(actions)) {
    if (!isAction(schema, action)) faults.push(`actions.${word}: the schema has no action ${action}`)
  }
  const listed = new Map<string, ReadonlyMap<string, Entity>>()
  for (const [type, members] of Object.entries(entities)) {
    const attributes = attributesOf(schema, type)
    if (!attributes) faults.push(`entities.${type}: the schema has no such type`)
    else listed.set(type, readEntities(type, members, attributes, faults))
  }
  faults.push(...circlesIn(listed))
  const typeWords = new Map(Object.entries(types))
  const actionWords = new Map(Object.entries(actions))
  const wordsOfActions = new Map([...actionWords].map(([word, action]) => [action, word]))
  const found = new Map<string, string | undefined>()
  return {
    sha256: hash,
    typeOf: (word) => typeWords.get(word) ?? remembered(found, word, () => typeNamed(schema, word)),
    actionOf: (word) => actionWords.get(word) ?? (isAction(schema, word) ? word : undefined),
    wordOfAction: (action) => wordsOfActions.get(action) ?? action,
    listed: (type) => listed.get(type),
  }
}

function read(text: string): z.output<typeof File> {
  if (text.length > MAX_BYTES) refuse([`more than ${MAX_BYTES} characters`])
  const document = parseDocument(text, { uniqueKeys: true, prettyErrors: true })
  if (document.errors.length > 0) refuse(document.errors.map(({ message }) => message.split('\n', 1)[0] ?? ''))
  const parsed = File.safeParse(valueOf(document) ?? {})
  if (!parsed.success) refuse(parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'top'}: ${message}`))
  return parsed.data
}

/** Without aliases: a list needs none, and they multiply. */
function valueOf(document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch {
    return refuse(['aliases are not accepted'])
  }
}

function refuse(faults: readonly string[]): never {
  const told = faults.slice(0, MAX_FAULTS)
  throw vocabularyInvalid(`${VOCABULARY_FILE} is not valid. ${told.slice(0, 5).join('; ')}`, { faults: [...told] })
}

function readEntities(
  type: string,
  members: Readonly<Record<string, Readonly<Record<string, unknown>> | null>>,
  attributes: Attributes,
  faults: string[],
): Map<string, Entity> {
  const found = new Map<string, Entity>()
  for (const [id, given] of Object.entries(members)) {
    const { [GROUPS]: groups = [], ...values } = given ?? {}
    const place = `entities.${type}.${id}`
    const parents = z
      .array(z.string().regex(/^[A-Z][A-Za-z0-9]*\/./))
      .max(1000)
      .safeParse(groups)
    if (!parents.success) faults.push(`${place}.${GROUPS}: expected a list such as [Team/security]`)
    for (const name of Object.keys(values)) {
      const declared = attributes.get(name)
      if (!declared) faults.push(`${place}.${name}: the schema has no such attribute`)
      else if (fitted(declared.type, values[name]) === undefined)
        faults.push(`${place}.${name}: not what the schema says`)
    }
    found.set(id, {
      type,
      id,
      attributes: Object.fromEntries(
        Object.entries(values).flatMap(([name, value]) => {
          const declared = attributes.get(name)
          const fitting = declared && fitted(declared.type, value)
          return fitting === undefined ? [] : [[name, fitting]]
        }),
      ),
      parents: (parents.data ?? []).map(refFrom),
    })
  }
  return found
}

function refFrom(text: string): EntityRef {
  const at = text.indexOf('/')
  return { type: text.slice(0, at), id: text.slice(at + 1) }
}

/** Groups that hold themselves: the engine would refuse every question about them. */
function circlesIn(listed: ReadonlyMap<string, ReadonlyMap<string, Entity>>): string[] {
  const done = new Set<string>()
  const faults: string[] = []
  const walk = (entity: Entity, path: readonly string[]): void => {
    const key = `${entity.type}/${entity.id}`
    const at = path.indexOf(key)
    if (at !== -1) faults.push(`entities: ${[...path.slice(at), key].join(' is in ')}`)
    if (at !== -1 || done.has(key)) return
    for (const { type, id } of entity.parents ?? []) {
      const parent = listed.get(type)?.get(id)
      if (parent) walk(parent, [...path, key])
    }
    done.add(key)
  }
  for (const members of listed.values()) for (const entity of members.values()) walk(entity, [])
  return faults
}

/** Words of enforcement points that are looked at once; whoever sends more of them is answered a little later. */
const MOST_FOUND = 1000

function remembered(found: Map<string, string | undefined>, word: string, find: () => string | undefined) {
  const known = found.get(word)
  if (known !== undefined || found.has(word)) return known
  const type = find()
  if (found.size < MOST_FOUND && word.length <= 64) found.set(word, type)
  return type
}

/** The word in the form of a type, where the schema has that type. People are users to everybody else. */
function typeNamed(schema: PolicySchema, word: string): string | undefined {
  if (word.length > 64) return undefined
  const parts = word.split(/[^A-Za-z0-9]+/).filter((part) => part !== '')
  const name = parts.map((part) => part.slice(0, 1).toUpperCase() + part.slice(1)).join('')
  if (attributesOf(schema, name)) return name
  return name === 'User' && attributesOf(schema, 'Person') ? 'Person' : undefined
}
