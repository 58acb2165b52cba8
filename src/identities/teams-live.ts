import type { Db } from '../kernel/db.ts'
import type { Teams } from './teams.ts'

/** The teams that count now. Whoever holds it is asked by nothing older; its hash names which they are. */
export type LiveTeams = Teams & {
  /** From here on others count. */
  swap(next: Teams): void
  /** Called after each swap, until disposed: for what was decided by membership and has to be looked at again. */
  onChanged(listener: () => void): Disposable
  /** How the teams are found that the database says count, in one transaction. */
  follow(asOf: (db: Db) => Promise<Teams>): void
}

export function liveTeams(first: Teams): LiveTeams {
  let now = first
  const listeners = new Set<() => void>()
  let read: ((db: Db) => Promise<Teams>) | undefined
  return {
    get names() {
      return now.names
    },
    get sha256() {
      return now.sha256
    },
    teamsOf: (name) => now.teamsOf(name),
    membersOf: (team) => now.membersOf(team),
    has: (team) => now.has(team),
    onCall: (team, at) => now.onCall(team, at),
    asOf: async (db) => (read ? read(db) : now),
    swap(next) {
      if (next.sha256 === now.sha256) return
      now = next
      for (const listener of listeners) listener()
    },
    onChanged(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    follow(asOf) {
      read = asOf
    },
  }
}

/** The teams by which something is granted: as this transaction sees them, so that who left counts for nothing from the commit on. */
export async function teamsAsOf(db: Db, teams: Teams): Promise<Teams> {
  return teams.asOf ? teams.asOf(db) : teams
}
