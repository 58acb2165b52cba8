import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { listFindings } from '../../src/governance/findings/lists.ts'
import { FindingQuery } from '../../src/governance/findings/contract.ts'
import { itemsOf } from '../../src/inventory/lists.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import type { Db } from '../../src/kernel/db.ts'

const ROUNDS = 100
const LIMIT = 50

export type PageTimes = Readonly<Record<string, { readonly p50: number; readonly p99: number }>>

/** How long pages of lists take from random places, in milliseconds: of everything, and by filters that match much, little and nothing. */
export async function timePages(db: Db, source: string): Promise<PageTimes> {
  const { rows } = await sql<{ principal: string; onId: string }>`
    select principal_id as principal, on_id from observed_grant order by id limit 1`.execute(db)
  const { principal = '', onId = '' } = rows[0] ?? {}
  const present = { presence: 'present' as const }
  const items = (kind: 'principal' | 'credential' | 'grant' | 'reference', filters: object) => () =>
    itemsOf(db, kind, { ...present, ...filters }, { after: somewhere(), limit: LIMIT })
  const findings = (filters: object) => () => listFindings(db, systemClock, FindingQuery.parse(filters))
  const asked: Readonly<Record<string, () => Promise<unknown>>> = {
    principals: items('principal', {}),
    credentials: items('credential', {}),
    grants: items('grant', {}),
    references: items('reference', {}),
    'grants of the source': items('grant', { source }),
    'grants of a principal': items('grant', { principal }),
    'grants on a thing': items('grant', { on: onId }),
    'principals of a common type': items('principal', { type: 'account' }),
    'principals of a type that none has': items('principal', { type: 'device' }),
    'principals by name': items('principal', { name: 'app-2026-77' }),
    'principals by a name that none has': items('principal', { name: 'zzz' }),
    'missed grants': items('grant', { presence: 'missed' }),
    'gone grants': items('grant', { presence: 'gone' }),
    findings: findings({}),
    'findings of a rule': findings({ rule: 'weak-authentication' }),
    'accepted findings': findings({ state: 'accepted' }),
  }
  const times: Record<string, { p50: number; p99: number }> = {}
  for (const [name, ask] of Object.entries(asked)) times[name] = await timed(ask)
  return times
}

function somewhere(): string {
  const hex = randomBytes(16).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
}

async function timed(ask: () => Promise<unknown>): Promise<{ p50: number; p99: number }> {
  const took: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now()
    await ask()
    took.push(performance.now() - began)
  }
  took.sort((one, other) => one - other)
  const at = (share: number) => Math.round((took[Math.ceil(share * ROUNDS) - 1] ?? 0) * 10) / 10
  return { p50: at(0.5), p99: at(0.99) }
}
