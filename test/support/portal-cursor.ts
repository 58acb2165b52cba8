import type { Connection, Submittable } from 'pg'

/** A portal that is read in pieces by Execute with a limit, as drivers with a fetch size do. */
export class PortalCursor implements Submittable {
  readonly #text: string
  #connection: Connection | undefined
  #rows = 0
  #done: ((rows: number) => void) | undefined
  #closed: (() => void) | undefined

  constructor(text: string) {
    this.#text = text
  }

  submit(connection: Connection): void {
    this.#connection = connection
    connection.parse({ name: '', text: this.#text, types: [] }, true)
    connection.bind({ portal: 'pieces', statement: '', values: [] }, true)
    connection.describe({ type: 'P', name: 'pieces' }, true)
    connection.flush()
  }

  read(rows: number): Promise<number> {
    return new Promise((resolve) => {
      this.#rows = 0
      this.#done = resolve
      this.#connection?.execute({ portal: 'pieces', rows: String(rows) }, true)
      this.#connection?.flush()
    })
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closed = resolve
      this.#connection?.close({ type: 'P', name: 'pieces' }, true)
      this.#connection?.sync()
    })
  }

  handleDataRow(): void {
    this.#rows += 1
  }
  handlePortalSuspended(): void {
    this.#done?.(this.#rows)
  }
  handleCommandComplete(): void {
    this.#done?.(this.#rows)
  }
  handleReadyForQuery(): void {
    this.#closed?.()
  }
  handleRowDescription(): void {}
  handleEmptyQuery(): void {}
  handleError(error: Error): void {
    throw error
  }
}
