import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { TEAMS } from './people.ts'

/** The configuration of the demo's installation: who is in which team, and when changes may be made. */
export function writeConfig(folder: string, more: Readonly<Record<string, unknown>> = {}): string {
  const file = join(folder, 'reeve.yaml')
  const ports = { api: { port: 0 }, gateways: { postgres: { port: 0 } } }
  writeFileSync(file, stringify({ teams: TEAMS, calendar: writeCalendar(folder), ...ports, ...more }))
  return file
}

/** A change window that is open whenever the demo runs. */
function writeCalendar(folder: string): string {
  const file = join(folder, 'calendar.yaml')
  const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
  writeFileSync(file, stringify({ windows: { releases: { targets: ['shop-db'], days, from: '00:00', to: '24:00' } } }))
  return file
}
