/** Counts the statements that this process sends to any PostgreSQL: each is a round trip, for the driver waits for one before it sends the next. */
import pg from 'pg'

const sent = new Map<string, number>()
let isCounting = false

/** From here on; only after everything was measured, since counting stays. */
export function countStatements(): void {
  sent.clear()
  if (isCounting) return
  isCounting = true
  const query = Object(pg.Client.prototype)['query']
  function counting(this: pg.Client, ...given: unknown[]): unknown {
    const [first] = given
    const text = typeof first === 'string' ? first : String(Object(first).text)
    sent.set(text, (sent.get(text) ?? 0) + 1)
    return Reflect.apply(query, this, given)
  }
  Object.defineProperty(pg.Client.prototype, 'query', { value: counting })
}

/** Each statement that was sent since, and how often. */
export function countedStatements(): { readonly text: string; readonly times: number }[] {
  return [...sent].map(([text, times]) => ({ text, times }))
}
