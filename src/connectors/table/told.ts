import { Instant } from '../../kernel/instant.ts'
import { Secret } from '../../kernel/secret.ts'
import {
  credential,
  grant,
  known,
  principal,
  resource,
  unknown,
  type Given,
  type NativeId,
  type Observation,
} from '../connector.ts'
import type { Row } from './rows.ts'
import type { Mapping } from './settings.ts'

const idOf = (kind: 'principal' | 'credential' | 'resource' | 'grant', id: string): NativeId => ({ kind, id })

type Of<K extends Mapping['kind']> = Extract<Mapping, { kind: K }>

/** What one row says by one mapping; undefined where what names it is empty. */
export function toldBy(mapping: Mapping, row: Row, fingerprint: Given['fingerprint']): Observation[] | undefined {
  if (mapping.kind === 'principal') return principalOf(mapping, row)
  return mapping.kind === 'credential' ? credentialOf(mapping, row, fingerprint) : grantOf(mapping, row)
}

function text(row: Row, column: string | undefined): string | undefined {
  const value = column === undefined ? undefined : row.at(column)?.trim()
  return value === '' ? undefined : value
}

function principalOf(mapping: Of<'principal'>, row: Row): Observation[] | undefined {
  const id = text(row, mapping.id)
  if (id === undefined) return undefined
  const state = worksBy(mapping.state, row)
  const environment = text(row, mapping.environment)
  return [
    principal({
      id: idOf('principal', id),
      type: mapping.type,
      name: text(row, mapping.name) ?? id,
      state: state === undefined ? unknown('not-collected') : known(state ? 'active' : 'disabled'),
      createdAt: instantAt(row, mapping.createdAt),
      ...(environment !== undefined && { environment: known(environment) }),
      tags: named(row, mapping.tags),
      facts: named(row, mapping.facts),
    }),
  ]
}

function credentialOf(
  mapping: Of<'credential'>,
  row: Row,
  fingerprint: Given['fingerprint'],
): Observation[] | undefined {
  const id = text(row, mapping.id)
  if (id === undefined) return undefined
  const state = worksBy(mapping.state, row)
  const holder = text(row, mapping.principal)
  const secret = text(row, mapping.secret)
  return [
    credential({
      id: idOf('credential', id),
      type: mapping.type,
      name: text(row, mapping.name) ?? id,
      principal: holder === undefined ? unknown('not-collected') : known(idOf('principal', holder)),
      state: state === undefined ? unknown('not-collected') : known(state ? 'active' : 'inactive'),
      createdAt: instantAt(row, mapping.createdAt),
      rotatedAt: instantAt(row, mapping.rotatedAt),
      expiresAt: expiryAt(row, mapping.expiresAt),
      fingerprints: secret === undefined ? unknown('not-collected') : known([fingerprint(new Secret(secret))]),
      facts: named(row, mapping.facts),
    }),
  ]
}

function grantOf(mapping: Of<'grant'>, row: Row): Observation[] | undefined {
  const [holder, on, privilege] = [mapping.principal, mapping.on, mapping.privilege].map((column) => text(row, column))
  if (holder === undefined || on === undefined || privilege === undefined) return undefined
  return [
    resource({ id: idOf('resource', on), type: 'thing', name: on }),
    grant({
      // None of the three can be mistaken for a part of another.
      id: idOf('grant', JSON.stringify([holder, on, privilege])),
      principal: idOf('principal', holder),
      on: idOf('resource', on),
      privilege,
      level: mapping.level,
      grantable: unknown('not-collected'),
      expiresAt: expiryAt(row, mapping.expiresAt),
      facts: named(row, mapping.facts),
    }),
  ]
}

function worksBy(state: Of<'principal'>['state'], row: Row): boolean | undefined {
  const value = text(row, state?.column)
  return value === undefined || !state ? undefined : state.active.includes(value)
}

function named(row: Row, columns: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    columns.flatMap((column) => ((text(row, column) ?? '') === '' ? [] : [[column, text(row, column) ?? '']])),
  )
}

/** RFC 3339, or a day of it. Other ways to write one mean different days to different people. */
function instantAt(row: Row, column: string | undefined) {
  const value = text(row, column)
  if (value === undefined) return unknown('not-collected')
  const { data } = Instant.safeDecode(/^\d{4}-\d{2}-\d{2}$/.test(value) ? `${value}T00:00:00Z` : value)
  return data ? known(data) : unknown('failed')
}

function expiryAt(row: Row, column: string | undefined) {
  return text(row, column)?.toLowerCase() === 'never' ? known('never' as const) : instantAt(row, column)
}
