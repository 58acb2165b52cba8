/**
 * A PKCS #11 module (OASIS, version 2.40), called off the event loop. A module is initialised once per process, and what hangs in it cannot be
 * called back: a call has a time limit, and while some are stuck no further ones are begun, or they would take every thread there is.
 */
import { createRequire } from 'node:module'
import type * as Koffi from 'koffi'
import { after } from '../timer.ts'

/** What a call came back with that is not success. */
export class CryptokiError extends Error {
  override readonly name = 'CryptokiError'
  readonly call: string
  readonly code: number

  constructor(call: string, code: number) {
    super(`${call} came back with ${RETURN_NAMES.get(code) ?? `0x${code.toString(16)}`}`)
    this.call = call
    this.code = code
  }
}

/** A call that did not come back in time; its session must not be used again. */
export class CryptokiLate extends Error {
  override readonly name = 'CryptokiLate'
}

// CK_FUNCTION_LIST of version 2.40: the place of each function, and its arguments. u: CK_ULONG, b: CK_BBOOL, p: a pointer.
const FUNCTIONS = {
  C_Initialize: [0, 'p'],
  C_Finalize: [1, 'p'],
  C_GetSlotList: [4, 'bpp'],
  C_GetSlotInfo: [5, 'up'],
  C_GetTokenInfo: [6, 'up'],
  C_OpenSession: [12, 'uuppp'],
  C_CloseSession: [13, 'u'],
  C_Login: [18, 'uupu'],
  C_DestroyObject: [22, 'uu'],
  C_GetAttributeValue: [24, 'uupu'],
  C_FindObjectsInit: [26, 'upu'],
  C_FindObjects: [27, 'upup'],
  C_FindObjectsFinal: [28, 'u'],
  C_EncryptInit: [29, 'upu'],
  C_Encrypt: [30, 'upupp'],
  C_DecryptInit: [33, 'upu'],
  C_Decrypt: [34, 'upupp'],
  C_SignInit: [42, 'upu'],
  C_Sign: [43, 'upupp'],
  C_GenerateKey: [58, 'uppup'],
  C_GenerateKeyPair: [59, 'uppupupp'],
} as const
type FunctionName = keyof typeof FUNCTIONS
type Argument = number | bigint | Buffer | null
type Native = { async(...args: unknown[]): void }

const FUNCTION_COUNT = 68
const ULONG_BYTES = 8
const ARGUMENT_TYPES: Readonly<Record<string, string>> = { u: 'unsigned long', b: 'uint8_t', p: 'void *' }

const RETURN_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries({
    0x05: 'CKR_GENERAL_ERROR',
    0x06: 'CKR_FUNCTION_FAILED',
    0x30: 'CKR_DEVICE_ERROR',
    0x32: 'CKR_DEVICE_REMOVED',
    0x40: 'CKR_ENCRYPTED_DATA_INVALID',
    0x60: 'CKR_KEY_HANDLE_INVALID',
    0x70: 'CKR_MECHANISM_INVALID',
    0x82: 'CKR_OBJECT_HANDLE_INVALID',
    0xa0: 'CKR_PIN_INCORRECT',
    0xa4: 'CKR_PIN_LOCKED',
    0xb3: 'CKR_SESSION_HANDLE_INVALID',
    0xd0: 'CKR_TEMPLATE_INCOMPLETE',
    0xd1: 'CKR_TEMPLATE_INCONSISTENT',
    0xe0: 'CKR_TOKEN_NOT_PRESENT',
    0xe2: 'CKR_TOKEN_WRITE_PROTECTED',
    0x101: 'CKR_USER_NOT_LOGGED_IN',
    0x102: 'CKR_USER_PIN_NOT_INITIALIZED',
  }).map(([code, name]) => [Number(code), name]),
)

const CKR_OK = 0
const CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191
const CKF_OS_LOCKING_OK = 2n
/** Some devices wait for a touch or for a network; a person would have given up by then. */
const CALL_MS = 10_000
/** Node has four threads for calls that wait, and files and names need them too. */
const MOST_STUCK = 2

/** One per module and process. */
const opened = new Map<string, Cryptoki>()

/** Throws a sentence where the module cannot be loaded. */
export async function openCryptoki(module: string): Promise<Cryptoki> {
  const found = opened.get(module) ?? new Cryptoki(module)
  opened.set(module, found)
  await found.initialize()
  return found
}

/** Memory that a module may write to: it is never moved, and lives for as long as it is held here. */
export function memory(sizeBytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(sizeBytes))
}

/** A number where a module expects a pointer to one. */
export function ulong(value: number | bigint): Buffer {
  const bytes = memory(ULONG_BYTES)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

export class Cryptoki {
  readonly module: string
  readonly #koffi: typeof Koffi
  readonly #loaded: Loaded
  #initialized: Promise<void> | undefined
  /** What calls under way were given: it must not be collected before they are back. */
  readonly #given = new Set<readonly Argument[]>()
  #stuck = 0

  constructor(module: string) {
    this.module = module
    this.#koffi = loadKoffi()
    this.#loaded = loadModule(this.#koffi, module)
  }

  initialize(): Promise<void> {
    this.#initialized ??= this.#initialize().catch((error: unknown) => {
      this.#initialized = undefined
      throw error
    })
    return this.#initialized
  }

  /** Some modules look for tokens only when they are initialised. Does nothing while anybody is in a call. */
  async lookAgain(): Promise<void> {
    if (this.#given.size > 0) return
    await this.call('C_Finalize', null)
    this.#initialized = undefined
    await this.initialize()
  }

  /** Throws `CryptokiError` for whatever is not success, `CryptokiLate` after ten seconds. What is handed over lives until the call is back. */
  async call(name: FunctionName, ...args: Argument[]): Promise<void> {
    const code = await this.#code(name, args)
    if (code !== CKR_OK) throw new CryptokiError(name, code)
  }

  addressOf(bytes: Buffer): bigint {
    return this.#koffi.address(bytes)
  }

  async #initialize(): Promise<void> {
    // CK_C_INITIALIZE_ARGS: four callbacks, flags, reserved. Calls come from several threads.
    const args = memory(6 * ULONG_BYTES)
    args.writeBigUInt64LE(CKF_OS_LOCKING_OK, 4 * ULONG_BYTES)
    const code = await this.#code('C_Initialize', [args])
    if (code !== CKR_OK && code !== CKR_CRYPTOKI_ALREADY_INITIALIZED) throw new CryptokiError('C_Initialize', code)
  }

  #code(name: FunctionName, args: readonly Argument[]): Promise<number> {
    const native = this.#loaded.functions.get(name)
    if (!native) throw new Error(`${this.module} has no ${name}`)
    if (this.#stuck >= MOST_STUCK) return Promise.reject(this.#late(name))
    this.#given.add(args)
    return new Promise((resolve, reject) => {
      let isLate = false
      const limit = after(CALL_MS, () => {
        isLate = true
        this.#stuck += 1
        reject(this.#late(name))
      })
      native.async(...args, (error: unknown, code: unknown) => {
        limit[Symbol.dispose]()
        this.#given.delete(args)
        if (isLate) this.#stuck -= 1
        else if (error) reject(new Error(`${name} of ${this.module} could not be called`, { cause: error }))
        else resolve(Number(code))
      })
    })
  }

  #late(name: FunctionName): CryptokiLate {
    return new CryptokiLate(`${name} of ${this.module} does not come back`)
  }
}

function loadKoffi(): typeof Koffi {
  // Structures of C are as wide as Linux and macOS have them on 64 bits.
  if (process.platform === 'win32') throw new Error('PKCS #11 modules are called on Linux and macOS only')
  try {
    const koffi: typeof Koffi = createRequire(import.meta.url)('koffi')
    return koffi
  } catch (error) {
    throw new Error('the optional package koffi is not installed here, and PKCS #11 modules are called by it', {
      cause: error,
    })
  }
}

/** The library is unloaded when nobody holds it, whatever of it is still being called. */
type Loaded = { readonly library: unknown; readonly functions: ReadonlyMap<string, Native> }

function loadModule(koffi: typeof Koffi, module: string): Loaded {
  try {
    const library = koffi.load(module)
    const list: unknown[] = [null]
    const code = Number(library.func('unsigned long C_GetFunctionList(_Out_ void **list)')(list))
    if (code !== CKR_OK || list[0] === null) throw new CryptokiError('C_GetFunctionList', code)
    // A version of two bytes, padded, then the functions.
    const table = Buffer.from(koffi.view(list[0], ULONG_BYTES * (1 + FUNCTION_COUNT)))
    const functions = Object.entries(FUNCTIONS).map(([name, [at, args]]): [string, Native] => {
      const types = args.split('').map((letter) => ARGUMENT_TYPES[letter] ?? 'void *')
      const pointer = table.readBigUInt64LE(ULONG_BYTES * (1 + at))
      return [name, koffi.decode(pointer, koffi.proto('unsigned long', types))]
    })
    return { library, functions: new Map(functions) }
  } catch (error) {
    throw new Error(`${module} cannot be loaded as a PKCS #11 module: give the path of its library`, { cause: error })
  }
}
