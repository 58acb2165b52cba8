import { createHash } from 'node:crypto'
import { Lanes } from '../lanes.ts'
import { readSecretFile } from '../secret-file.ts'
import { CryptokiError, CryptokiLate, memory, openCryptoki, ulong, type Cryptoki } from './cryptoki.ts'
import { KeyRefused, Session } from './session.ts'
import { parseTokenUri, type TokenUri } from './uri.ts'

/** Where a token is: the library that speaks to it, its name (RFC 7512), and a file with the PIN of its user. */
export type TokenPlace = { readonly module: string; readonly token: string; readonly pinFile: string }

// PKCS #11 2.40, pkcs11t.h.
const CKF_SERIAL_AND_WRITE = 4 | 2
const CKU_USER = 1
const CKF_TOKEN_INITIALIZED = 0x400n
const CKF_USER_PIN_FINAL_TRY = 0x2_0000n
const CKF_USER_PIN_LOCKED = 0x4_0000n
const CKR = { pinIncorrect: 0xa0, alreadyLoggedIn: 0x100 } as const
/** What says that a session, and all that it knew, is no more: device errors, handles of before, a module that was ended. */
const LOST = new Set([0x05, 0x06, 0x30, 0x32, 0x60, 0x82, 0xb0, 0xb3, 0xe0, 0xe1, 0x101, 0x190])
const MOST_SLOTS = 256
const ULONG_BYTES = 8
/** CK_TOKEN_INFO and CK_SLOT_INFO, with room to spare. */
const INFO_BYTES = 256
/** Each call takes one of Node's few threads. */
const SESSIONS = 2

/** PINs that a token refused: trying one again locks the token. By module and PIN, as hashes. */
const refusedPins = new Set<string>()

/** A token as it is used: sessions are opened when they are needed, and again after they were lost. They end with the process. */
export class Token {
  readonly #place: TokenPlace
  readonly #uri: TokenUri
  readonly #lanes = new Lanes(SESSIONS)
  #idle: Session[] = []

  /** Throws a sentence for a name that names no token. Asks nobody. */
  constructor(place: TokenPlace) {
    this.#place = place
    this.#uri = parseTokenUri(place.token)
  }

  /** Runs `work` in a session of its own; once more in a new one where the session turns out to be lost. Throws sentences for people. */
  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.#lanes.run(async () => {
      try {
        return await this.#inSession(this.#idle.pop(), work)
      } catch (error) {
        if (!isLost(error)) throw this.#sentence(error)
        this.#idle = []
        return this.#inSession(undefined, work).catch((again: unknown) => {
          throw this.#sentence(again)
        })
      }
    })
  }

  async #inSession<T>(found: Session | undefined, work: (session: Session) => Promise<T>): Promise<T> {
    const session = found ?? (await this.#connect())
    try {
      const done = await work(session)
      this.#idle.push(session)
      return done
    } catch (error) {
      // Something may be half done in it. One that hangs is not even closed.
      if (!(error instanceof CryptokiLate)) await session.close().catch(() => undefined)
      throw error
    }
  }

  async #connect(): Promise<Session> {
    const cryptoki = await openCryptoki(this.#place.module)
    let found = await this.#slots(cryptoki)
    if (found.length === 0) {
      await cryptoki.lookAgain()
      found = await this.#slots(cryptoki)
    }
    const [at, another] = found
    if (!at) throw new KeyRefused('there is no such token, or it was taken out')
    if (another) throw new KeyRefused('more than one token has this name: add its serial')
    const handle = ulong(0)
    await cryptoki.call('C_OpenSession', at.slot, CKF_SERIAL_AND_WRITE, null, null, handle)
    const session = new Session(cryptoki, handle.readBigUInt64LE())
    try {
      await this.#logIn(cryptoki, handle.readBigUInt64LE(), at.flags)
      return session
    } catch (error) {
      await session.close().catch(() => undefined)
      throw error
    }
  }

  async #logIn(cryptoki: Cryptoki, handle: bigint, flags: bigint): Promise<void> {
    const { module, pinFile } = this.#place
    if (flags & CKF_USER_PIN_LOCKED) throw new KeyRefused('its PIN is locked: its security officer has to set it anew')
    const pin = await readSecretFile(pinFile, 'the PIN')
    const shown = createHash('sha256').update(`${module}\n${this.#place.token}\n${pin.reveal()}`).digest('hex')
    if (refusedPins.has(shown)) throw wrongPin(pinFile)
    // The last try is a person's.
    if (flags & CKF_USER_PIN_FINAL_TRY) {
      throw new KeyRefused('one more wrong PIN would lock it: log in to it by hand with the right one first')
    }
    const text = Buffer.from(pin.reveal(), 'utf8')
    const bytes = memory(text.length)
    bytes.set(text)
    try {
      await cryptoki.call('C_Login', handle, CKU_USER, bytes, bytes.length)
    } catch (error) {
      const code = error instanceof CryptokiError ? error.code : undefined
      if (code === CKR.alreadyLoggedIn) return
      if (code === CKR.pinIncorrect) {
        refusedPins.add(shown)
        throw wrongPin(pinFile)
      }
      throw error
    } finally {
      bytes.fill(0)
      text.fill(0)
    }
  }

  async #slots(cryptoki: Cryptoki): Promise<{ slot: bigint; flags: bigint }[]> {
    const [slots, count] = [memory(MOST_SLOTS * ULONG_BYTES), ulong(MOST_SLOTS)]
    await cryptoki.call('C_GetSlotList', 1, slots, count)
    const found: { slot: bigint; flags: bigint }[] = []
    for (let at = 0; at < Number(count.readBigUInt64LE()); at += 1) {
      const slot = slots.readBigUInt64LE(at * ULONG_BYTES)
      const [ofToken, ofSlot] = [memory(INFO_BYTES), memory(INFO_BYTES)]
      try {
        await cryptoki.call('C_GetTokenInfo', slot, ofToken)
        await cryptoki.call('C_GetSlotInfo', slot, ofSlot)
      } catch (error) {
        // It was there when the list was made.
        if (isLost(error)) continue
        throw error
      }
      // CK_TOKEN_INFO: four texts filled with blanks, then the flags.
      const flags = ofToken.readBigUInt64LE(96)
      const said = {
        token: textAt(ofToken, 0, 32),
        manufacturer: textAt(ofToken, 32, 32),
        model: textAt(ofToken, 64, 16),
        serial: textAt(ofToken, 80, 16),
        slotDescription: textAt(ofSlot, 0, 64),
        slotId: slot,
      }
      if (flags & CKF_TOKEN_INITIALIZED && isNamed(this.#uri, said)) found.push({ slot, flags })
    }
    return found
  }

  #sentence(error: unknown): Error {
    const { module, token } = this.#place
    const why = error instanceof Error ? error.message : 'it failed'
    return new Error(`the PKCS #11 token ${token} of ${module} cannot be used: ${why}`, { cause: error })
  }
}

function isNamed(uri: TokenUri, said: Required<TokenUri>): boolean {
  const asked: TokenUri & Record<string, unknown> = uri
  return Object.entries(said).every(([name, value]) => asked[name] === undefined || asked[name] === value)
}

function isLost(error: unknown): boolean {
  return error instanceof CryptokiError && LOST.has(error.code)
}

function wrongPin(pinFile: string): KeyRefused {
  return new KeyRefused(
    `it refused the PIN in ${pinFile}, which is not tried again, or the token would lock: put the right one there`,
  )
}

/** Texts are filled up with blanks. */
function textAt(info: Buffer, at: number, sizeBytes: number): string {
  return info
    .subarray(at, at + sizeBytes)
    .toString('utf8')
    .trimEnd()
}
