import { teamsAsOf } from '../../identities/identities.ts'
import type { Tx } from '../../kernel/db.ts'
import type { LifecycleNeeds } from '../needs.ts'

const LONGEST = 40
const MOST_TRIES = 9

/**
 * A name for somebody new that nobody has or had, and that no team knows yet: teams name people, so a provider that could choose a name could
 * choose a team. Of an address only the part before the sign is used.
 */
export async function freeName(tx: Tx, needs: LifecycleNeeds, userName: string): Promise<string> {
  const base = slugOf(userName)
  const teams = await teamsAsOf(tx, needs.teams)
  const tail = needs.random.bytes(4).toString('hex')
  const candidates = [
    base,
    ...Array.from({ length: MOST_TRIES - 1 }, (_, at) => `${base}-${at + 2}`),
    `${base}-${tail}`,
  ]
  const rows = await tx.selectFrom('identity').select('name').where('name', 'in', candidates).execute()
  const taken = new Set(rows.map(({ name }) => name))
  const free = candidates.find((name) => !taken.has(name) && teams.teamsOf(name).length === 0)
  return free ?? `person-${needs.random.bytes(8).toString('hex')}`
}

function slugOf(userName: string): string {
  const local = userName.split('@', 1)[0] ?? ''
  const letters = Array.from(local.normalize('NFKD').toLowerCase().slice(0, 200), (letter) => {
    if (/[a-z0-9._-]/.test(letter)) return letter
    // Marks that a letter was composed of.
    return /\p{M}/u.test(letter) ? '' : '-'
  })
  let name = letters.join('').slice(0, LONGEST)
  while (/^[._-]/.test(name)) name = name.slice(1)
  while (/[._-]$/.test(name)) name = name.slice(0, -1)
  return name === '' ? 'person' : name
}
