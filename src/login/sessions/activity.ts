import { sql } from 'kysely'
import type { Caller } from '../../kernel/http/route.ts'
import type { LoginNeeds } from '../needs.ts'
import { every } from '../../kernel/timer.ts'

/** A login is idle to the minute, so it is enough to know when it was used to the half minute. */
const FLUSH_MS = 30_000
const MOST_KEPT = 20_000

/** Notes when the logins behind calls of the API were used last, and tells the database now and then. */
export type Activity = AsyncDisposable & {
  seen(caller: Pick<Caller, 'session'>): void
}

export function openActivity(needs: Pick<LoginNeeds, 'db' | 'clock' | 'log'>): Activity {
  let seen = new Map<string, Date>()
  const flush = async () => {
    const now = seen
    seen = new Map()
    if (now.size === 0) return
    const rows = JSON.stringify([...now].map(([id, at]) => ({ id, at: at.toISOString() })))
    await sql`
      update login_activity a set seen_at = greatest(a.seen_at, s.at)
        from jsonb_to_recordset(${rows}::jsonb) as s (id uuid, at timestamptz)
       where a.session_id = s.id`.execute(needs.db)
  }
  const tell = () =>
    flush().catch((error: unknown) => needs.log.warn({ err: error }, 'the use of logins was not written down'))
  const timer = every(FLUSH_MS, () => void tell())
  return {
    seen({ session }) {
      if (session && (seen.has(session.id) || seen.size < MOST_KEPT)) seen.set(session.id, needs.clock.now())
    },
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await tell()
    },
  }
}
