import { inspect } from 'node:util'

/** A value that must not travel: it does not print, serialise or compare. `reveal()` is the one way out, easy to search for. */
export class Secret<T extends string | Buffer = string> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  reveal(): T {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
