/** Asks witnesses to cosign each checkpoint (C2SP tlog-witness), so that others can tell that everybody was shown the same log. */
import type { Clock } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import type { Log as Logger } from '../kernel/log.ts'
import { after } from '../kernel/timer.ts'
import { tilesOf } from './logs.ts'
import type { Signed } from './sequencer.ts'
import { addCosignatures, openCheckpoint } from './tree/checkpoint.ts'
import {
  KeyType,
  NOTE_MAX_BYTES,
  formatSignature,
  formatVerifierKey,
  parseNote,
  parseVerifierKey,
} from './tree/note.ts'
import type { VerifierKey } from './tree/note.ts'
import { proveConsistency } from './tree/proof.ts'
import { encodeAddCheckpoint, parseSizeConflict } from './tree/witness.ts'

export type Witness = { readonly key: string; readonly url?: string | undefined }

export type Witnesses = AsyncDisposable & {
  /** The newest checkpoint; each witness is asked about the last one given, one request at a time. */
  offer(signed: Signed): void
}

export type WitnessNeeds = {
  readonly db: Db
  readonly clock: Clock
  readonly log: Logger
  /** Called for each checkpoint that a witness did not cosign: to count it. The log goes on; who verifies with a quorum will see. */
  readonly onWitnessLoss?: (witness: string) => void
}

const REQUEST_MS = 10_000
/** A witness may hold another size than we believe; it says so once, and then must agree. */
const ATTEMPTS = 2

export function openWitnesses(needs: WitnessNeeds, witnesses: readonly Witness[]): Witnesses {
  const asked = witnesses.flatMap(({ key, url }) =>
    url === undefined ? [] : [new Asked(needs, parseVerifierKey(key), url)],
  )
  const wrong = asked.find(({ key }) => key.type !== KeyType.cosignature)
  if (wrong) throw new Error(`${wrong.key.name} is no witness: its key does not cosign`)
  return {
    offer: (signed) => asked.forEach((witness) => witness.offer(signed)),
    async [Symbol.asyncDispose]() {
      await Promise.all(asked.map((witness) => witness.close()))
    },
  }
}

class Asked {
  readonly key: VerifierKey
  readonly #needs: WitnessNeeds
  readonly #url: string
  readonly #stop = new AbortController()
  #next: Signed | undefined
  #busy: Promise<void> | undefined

  constructor(needs: WitnessNeeds, key: VerifierKey, url: string) {
    this.#needs = needs
    this.key = key
    this.#url = `${url.replace(/\/$/, '')}/add-checkpoint`
  }

  offer(signed: Signed): void {
    this.#next = signed
    this.#busy ??= this.#run()
  }

  async close(): Promise<void> {
    this.#next = undefined
    this.#stop.abort(new Error('the node stops'))
    await this.#busy
  }

  async #run(): Promise<void> {
    for (let signed = this.#next; signed; signed = this.#next) {
      this.#next = undefined
      try {
        await this.#ask(signed)
      } catch (error) {
        this.#needs.log.warn({ err: error, witness: this.key.name }, 'a witness did not cosign the checkpoint')
        this.#needs.onWitnessLoss?.(this.key.name)
      }
    }
    this.#busy = undefined
  }

  async #ask(signed: Signed): Promise<void> {
    let oldSize = await this.#lastCosigned(signed)
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#post(signed, oldSize)
      if (answer.status === 200) return this.#keep(signed, answer.body)
      // C2SP tlog-witness: 409 with the size it holds, when that is not the old size we named.
      if (answer.status !== 409 || attempt === ATTEMPTS) throw new Error(`the witness answered ${answer.status}`)
      oldSize = parseSizeConflict(answer.body)
      if (oldSize > signed.size) throw new Error(`the witness has already seen ${oldSize} entries`)
    }
  }

  async #post(signed: Signed, oldSize: number): Promise<{ status: number; body: string }> {
    const proof = await proveConsistency(tilesOf(this.#needs.db, signed.log.id), oldSize, signed.size)
    const late = new AbortController()
    using _limit = after(REQUEST_MS, () => late.abort(new Error('the witness did not answer in time')))
    const response = await fetch(this.#url, {
      method: 'POST',
      body: encodeAddCheckpoint({ oldSize, proof, checkpoint: signed.note }),
      redirect: 'error',
      signal: AbortSignal.any([late.signal, this.#stop.signal]),
    })
    return { status: response.status, body: await bounded(response) }
  }

  async #keep({ log, size, note }: Signed, lines: string): Promise<void> {
    const cosigned = addCosignatures(note, lines, [this.key])
    if (openCheckpoint(cosigned, log.key, [this.key]).witnessedBy.length === 0) throw new Error('it signed nothing')
    const own = parseNote(cosigned).signatures.find(({ name, id }) => name === this.key.name && id === this.key.id)
    if (!own) throw new Error('it signed nothing')
    await this.#needs.db
      .insertInto('ledgerCosignature')
      .values({
        logId: log.id,
        size,
        witness: formatVerifierKey(this.key),
        line: formatSignature(own),
        at: this.#needs.clock.now(),
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }

  async #lastCosigned({ log }: Signed): Promise<number> {
    const row = await this.#needs.db
      .selectFrom('ledgerCosignature')
      .select((columns) => columns.fn.max('size').as('size'))
      .where('logId', '=', log.id)
      .where('witness', '=', formatVerifierKey(this.key))
      .executeTakeFirst()
    return row?.size ?? 0
  }
}

async function bounded(response: Response): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > NOTE_MAX_BYTES) throw new Error('the witness answered too much')
  }
  return text
}
