import type { Socket } from 'node:net'
import { noticeResponse } from './wire/encode.ts'

/** What a client is told beside the answers of the server: between two of its messages, never inside one. It may be at any time (manual 54.2.6). */
export class Notices {
  readonly #client: Socket
  readonly #mayWrite: () => boolean
  #untold: string[] = []

  /** `mayWrite` says whether the client stands between two messages. */
  constructor(client: Socket, mayWrite: () => boolean) {
    this.#client = client
    this.#mayWrite = mayWrite
  }

  /** Says it now, or with the next `flush`. */
  say(sentence: string, isLater: boolean): void {
    this.#untold.push(sentence)
    if (!isLater) this.flush()
  }

  flush(): void {
    if (this.#untold.length === 0 || this.#client.destroyed || !this.#mayWrite()) return
    const notices = this.#untold.map((message) => noticeResponse({ severity: 'NOTICE', code: '00000', message }))
    this.#untold = []
    this.#client.write(Buffer.concat(notices))
  }
}
