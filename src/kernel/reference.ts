import { z } from 'zod'
import { classificationOf, type EventKind } from './event.ts'
import { problemsOf, problemsOfOne } from './http/openapi.ts'
import type { Operation } from './operation.ts'
import type { ProblemKind } from './problem.ts'

/** The catalogue of problems, as Markdown. */
export function problemsReference(operations: readonly Operation[], deferred: readonly ProblemKind[] = []): string {
  const lines = [
    '# Problems',
    '',
    'Every error of the API is a problem (RFC 9457). `type` is `/v1/problems/<slug>` and never changes; `detail` is a sentence for a person;',
    '`facts` are typed. A 500 says nothing more: its `requestId` finds it in the log.',
  ]
  for (const kind of problemsOf(operations, deferred)) {
    const where = operations.filter((operation) => problemsOfOne(operation).includes(kind)).map(({ id }) => `\`${id}\``)
    lines.push('', `## ${kind.slug}`, '', `${kind.status}. ${kind.title}.`)
    const facts = Object.entries(kind.facts.shape)
    if (facts.length > 0) lines.push('', '| fact | value |', '| --- | --- |')
    for (const [name, schema] of facts) lines.push(`| \`${name}\` | ${typeText(schema)} |`)
    if (where.length === 0 && deferred.includes(kind)) lines.push('', 'A call that others have to approve.')
    else if (where.length === 0) lines.push('', 'Any request.')
    else if (where.length >= operations.length - 1) lines.push('', 'Every operation.')
    else if (where.length > MOST_NAMED) lines.push('', `${where.length} operations.`)
    else lines.push('', `By ${where.join(', ')}.`)
  }
  return `${lines.join('\n')}\n`
}

/** The kinds of ledger entry, as Markdown: each field with how it may be shown. */
export function eventsReference(events: readonly EventKind[]): string {
  const lines = [
    '# Ledger entries',
    '',
    'Each entry also says who did it, on behalf of whom, on what, when, under which decision, and how it went. A *public* field stands in the',
    'entry as it is; a *personal* one as a salted commitment whose value is sealed under its subject’s key; a *secret* one never.',
  ]
  const seen = new Set<string>()
  for (const { kind, summary, facts } of events.toSorted((a, b) => (a.kind < b.kind ? -1 : 1))) {
    if (seen.has(kind)) throw new Error(`two events are named ${kind}`)
    seen.add(kind)
    lines.push('', `## ${kind}`, '', summary)
    const fields = Object.entries(facts.shape)
    if (fields.length > 0) lines.push('', '| field | value | shown as |', '| --- | --- | --- |')
    for (const [name, schema] of fields)
      lines.push(`| \`${name}\` | ${typeText(schema)} | ${classificationOf(schema)} |`)
  }
  return `${lines.join('\n')}\n`
}

/** More operations than these are counted, not listed. */
const MOST_NAMED = 12

function typeText(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodOptional) return `${typeText(schema.def.innerType)}, optional`
  if (schema instanceof z.ZodDefault) return typeText(schema.def.innerType)
  if (schema instanceof z.ZodNullable) return `${typeText(schema.def.innerType)} or null`
  if (schema instanceof z.ZodArray) return `list of ${typeText(schema.element)}`
  if (schema instanceof z.ZodEnum) return schema.options.map((option) => `\`${option}\``).join(', ')
  if (schema instanceof z.ZodLiteral) return `\`${JSON.stringify(schema.value)}\``
  if (schema instanceof z.ZodObject) return `{ ${Object.keys(schema.shape).join(', ')} }`
  if (schema instanceof z.ZodRecord) return 'map'
  if (schema instanceof z.ZodUnion)
    return schema.options.map((option: z.core.$ZodType) => typeText(option)).join(' or ')
  if (schema instanceof z.ZodPipe) return schema.def.out instanceof z.ZodDate ? 'instant' : typeText(schema.def.in)
  if (schema instanceof z.ZodNumber) return schema.format === 'safeint' ? 'whole number' : 'number'
  if (schema instanceof z.ZodBoolean) return 'true or false'
  if (schema instanceof z.ZodUUID) return 'id'
  return 'text'
}
