/** The process of the load: it takes nothing from the server's own. Started by load.ts. */
import { openLines, type Line } from './client.ts'
import type { Drive, Driven } from './messages.ts'

process.on('message', (asked: Drive) => {
  drive(asked).then(
    (driven) => process.send?.(driven),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit())

async function drive(asked: Drive): Promise<Driven> {
  const failed = Promise.withResolvers<never>()
  const lines = await openLines(asked.door, asked.connections, asked.expected, failed.reject)
  try {
    const requests = asked.door.requests.map((request) => Buffer.from(request))
    const driven = asked.rate === undefined ? closedLoop(asked, lines, requests) : openLoop(asked, lines, requests)
    return await Promise.race([driven, failed.promise])
  } finally {
    for (const line of lines) line[Symbol.dispose]()
  }
}

/** Each connection asks again as soon as it was answered. */
async function closedLoop({ seconds }: Drive, lines: readonly Line[], requests: readonly Buffer[]): Promise<Driven> {
  const next = inTurn(requests)
  const took: number[] = []
  const startedAt = performance.now()
  const until = startedAt + seconds * 1000
  await Promise.all(
    lines.map(
      (line) =>
        new Promise<void>((resolve) => {
          const again = (): void => {
            const askedAt = performance.now()
            line.ask(next(), () => {
              const now = performance.now()
              took.push(now - askedAt)
              if (now < until) again()
              else resolve()
            })
          }
          again()
        }),
    ),
  )
  return drivenOf(took, [], (performance.now() - startedAt) / 1000)
}

/**
 * Requests are due at an even rate. One that finds no free connection waits, and its time counts from when it was due: a server that
 * stands still makes all of them late, not only those it has begun.
 */
function openLoop({ seconds, rate = 0 }: Drive, lines: readonly Line[], requests: readonly Buffer[]): Promise<Driven> {
  const next = inTurn(requests)
  const free = [...lines]
  const took: number[] = []
  const total = Math.round(rate * seconds)
  const startedAt = performance.now()
  const isAnswered = new Uint8Array(total)
  const dueAt = (of: number) => startedAt + (of * 1000) / rate
  let sent = 0
  let onIdle: (() => void) | undefined
  return new Promise((resolve) => {
    const send = (): void => {
      if (onIdle) return
      const now = performance.now()
      for (; sent < total && dueAt(sent) <= now; sent += 1) {
        const line = free.pop()
        if (!line) return
        const of = sent
        line.ask(next(), () => {
          took.push(performance.now() - dueAt(of))
          isAnswered[of] = 1
          free.push(line)
          send()
          if (free.length === lines.length) onIdle?.()
        })
      }
    }
    const timer = setInterval(() => {
      send()
      const now = performance.now()
      const isOver = now >= startedAt + seconds * 1000
      if (!isOver || (took.length < total && now < startedAt + seconds * 1000 + GRACE_MS)) return
      clearInterval(timer)
      const ages: number[] = []
      for (let of = 0; of < total; of += 1) if (isAnswered[of] === 0) ages.push(now - dueAt(of))
      const driven = drivenOf([...took], ages, (now - startedAt) / 1000)
      // What is under way would be the next run's burden.
      onIdle = () => resolve(driven)
      if (free.length === lines.length) onIdle()
    }, 1)
  })
}

/** For the last answers. A server that cannot hold the rate is not waited for. */
const GRACE_MS = 100

function inTurn(requests: readonly Buffer[]): () => Buffer {
  let at = 0
  return () => {
    const found = requests[at++ % requests.length]
    if (!found) throw new Error('there is nothing to ask')
    return found
  }
}

function drivenOf(took: readonly number[], ages: readonly number[], seconds: number): Driven {
  const sorted = Float64Array.from([...took, ...ages]).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return {
    answered: took.length,
    perSecond: took.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    unanswered: ages.length,
  }
}
