/** A value, or a promise of it where it has to be waited for. A promise for what is known already costs more than most of what is decided. */
export type Soon<T> = T | Promise<T>

/** What `use` makes of a value: at once where it is there. What `use` throws is thrown then, and rejects otherwise. */
export function soon<T, U>(value: Soon<T>, use: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** Both values together; the second is begun while the first is waited for, and whatever it throws then, the first has somebody who listens. */
export function both<A, B, U>(first: Soon<A>, second: () => Soon<B>, use: (first: A, second: B) => Soon<U>): Soon<U> {
  if (!(first instanceof Promise)) return soon(second(), (other) => use(first, other))
  return Promise.all([first, started(second)]).then(([one, other]) => use(one, other))
}

async function started<T>(work: () => Soon<T>): Promise<T> {
  return work()
}
