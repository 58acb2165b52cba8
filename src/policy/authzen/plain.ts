import type { AskedQuestion } from './asked.ts'

const LONGEST = 512
const LONGEST_NAME = 256

/** The question, where it is one by a look at what it has to have; else undefined, and its schema says what is wrong with it. */
export function plainQuestion(value: unknown): AskedQuestion | undefined {
  return isQuestion(value) ? value : undefined
}

function isQuestion(value: unknown): value is AskedQuestion {
  if (!isRecord(value)) return false
  const { subject, action, resource, context } = value
  return (
    isThing(subject) &&
    isThing(resource) &&
    isRecord(action) &&
    isText(action['name']) &&
    areProperties(action['properties']) &&
    areProperties(context)
  )
}

function isThing(value: unknown): boolean {
  return isRecord(value) && isText(value['type']) && isText(value['id']) && areProperties(value['properties'])
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length > 0 && value.length <= LONGEST
}

function areProperties(value: unknown): boolean {
  if (value === undefined) return true
  return isRecord(value) && Object.keys(value).every((name) => name.length <= LONGEST_NAME) && isJson(value)
}

/** JSON writes numbers that no number is. */
function isJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(isJson)
  // Schemas leave it out, so it is theirs to read.
  return !Object.hasOwn(value, '__proto__') && Object.values(value).every(isJson)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
