/**
 * What this machine may vouch for, and the documents it holds for that. Keys are made here, once for each document, and never written down.
 *
 * A document is asked for when a process that fits first wants it, and again when half of its life is over. While the server is away what is held
 * goes on until it runs out; what is not held is refused. When the server says no, everything ends at once.
 */
import { certifyOnMachine, vouchOnMachine, type MachineState } from '../credentials/contract.ts'
import { secondsAfter, type Clock } from '../kernel/clock.ts'
import { GRPC, GrpcError } from '../kernel/grpc/call.ts'
import { certificateDer } from '../kernel/crypto.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import type { Log } from '../kernel/log.ts'
import { Secret } from '../kernel/secret.ts'
import { after } from '../kernel/timer.ts'
import { verifySvid } from '../kernel/x509-svid.ts'
import { bundlesOf } from './bundles.ts'
import { isRefusal, isUnknown, type Server } from './server.ts'

export type Placed = MachineState['placements'][number]

/** A certificate with its key, as PEM. */
export type HeldX509 = {
  readonly placement: Placed
  readonly certificate: string
  readonly privateKey: Secret
  readonly expiresAt: Date
  readonly renewAt: Date
}
type HeldJwt = { readonly token: Secret; readonly expiresAt: Date; readonly renewAt: Date }

type Needs = { readonly clock: Clock; readonly log: Log; readonly server: () => Server; readonly signal: AbortSignal }

/** A server that is away is asked again after this, by whoever waits. */
const RETRY_SECONDS = 5
const MOST_JWTS = 10_000
const AWAY = 'the server cannot be reached, and nothing is held for this workload'
const NOTHING = 'no placement on this machine fits this process'

export class Workloads {
  readonly #needs: Needs
  readonly #x509 = new Map<string, HeldX509>()
  readonly #jwt = new Map<string, HeldJwt>()
  readonly #asked = new Map<string, Promise<unknown>>()
  readonly #waiting = new Set<() => void>()
  #state: MachineState | undefined
  #refusal: string | undefined
  #turn = 0

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Counts changes, so that nobody waits for one that was there before they looked. */
  get turn(): number {
    return this.#turn
  }

  /** What the server said last. Throws `GrpcError` before it said anything, or after it said no. */
  get state(): MachineState {
    if (this.#refusal !== undefined) throw new GrpcError(GRPC.permissionDenied, this.#refusal)
    if (!this.#state) throw new GrpcError(GRPC.unavailable, 'the server was not reached yet')
    return this.#state
  }

  get version(): string | undefined {
    return this.#state?.version
  }

  /** Whether any placement looks at the bytes of programs. */
  get hashesPrograms(): boolean {
    return this.state.placements.some(({ selectors }) => selectors.some((each) => each.startsWith('unix:sha256:')))
  }

  /** What the server says now: whatever is placed here no more is forgotten. */
  take(state: MachineState): void {
    if (this.#state?.bundle !== state.bundle) this.#dropUnbelieved(state)
    this.#state = state
    this.#refusal = undefined
    const here = new Set(state.placements.map(({ id }) => id))
    for (const [key, { placement }] of this.#x509) if (!here.has(placement.id)) this.#x509.delete(key)
    for (const key of this.#jwt.keys()) if (!here.has(key.slice(0, key.indexOf(' ')))) this.#jwt.delete(key)
    this.#changed()
  }

  /** Keys of the trust domain turned: what verifiers do not believe any more is asked for again. */
  #dropUnbelieved(state: MachineState): void {
    const authorities = bundlesOf(state).get(state.trustDomain)?.authorities ?? []
    const now = this.#needs.clock.now()
    for (const [key, { certificate }] of this.#x509) {
      if (!verifySvid(certificateDer(certificate), authorities, now)) this.#x509.delete(key)
    }
    this.#jwt.clear()
  }

  /** This machine is admitted no more: nothing is served. */
  end(why: string): void {
    this.#refusal = why
    this.#state = undefined
    this.#x509.clear()
    this.#jwt.clear()
    this.#changed()
  }

  /** The placements whose selectors all fit. Throws `GrpcError` where there is none: nobody gets an identity by default. */
  fitting(selectors: ReadonlySet<string>): readonly Placed[] {
    const found = this.state.placements.filter((each) => each.selectors.every((selector) => selectors.has(selector)))
    if (found.length === 0) throw new GrpcError(GRPC.permissionDenied, NOTHING)
    return found
  }

  /** The certificate of a placement: the one that is held, or a new one when half of its life is over. Throws `GrpcError`. */
  x509(placement: Placed): Promise<HeldX509> {
    return this.#held(this.#x509, placement.id, placement, async (signal) => {
      const pair = await newKeyPair()
      const input = { placement: placement.id, publicKey: pair.publicKey }
      const given = await this.#needs.server().ask(certifyOnMachine, { input }, signal)
      return { placement, certificate: given.certificate, privateKey: pair.privateKey, ...halfOf(given) }
    })
  }

  /** The same for a token. */
  jwt(placement: Placed, audience: readonly string[]): Promise<HeldJwt> {
    const key = `${placement.id} ${JSON.stringify([...new Set(audience)].toSorted())}`
    if (this.#jwt.size >= MOST_JWTS) this.#jwt.clear()
    return this.#held(this.#jwt, key, placement, async (signal) => {
      const input = { placement: placement.id, audience: [...audience] }
      const given = await this.#needs.server().ask(vouchOnMachine, { input }, signal)
      return { token: new Secret(given.token), ...halfOf(given) }
    })
  }

  /** Resolves when anything is other than at `turn`, at the latest at `until`. */
  async changedSince(turn: number, until: Date, signal: AbortSignal): Promise<void> {
    if (turn !== this.#turn || signal.aborted) return
    const { clock } = this.#needs
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        timer[Symbol.dispose]()
        resolve()
      }
      const timer = after(until.getTime() - clock.now().getTime(), done)
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  /** When a stream that shows these should look again. */
  lookAgainAt(held: readonly HeldX509[]): Date {
    const soon = secondsAfter(this.#needs.clock.now(), RETRY_SECONDS)
    const [first] = held.map(({ renewAt }) => renewAt).toSorted((a, b) => a.getTime() - b.getTime())
    return first && first > soon ? first : soon
  }

  #changed(): void {
    this.#turn += 1
    for (const each of this.#waiting) each()
  }

  async #held<Held extends HeldX509 | HeldJwt>(
    held: Map<string, Held>,
    key: string,
    placement: Placed,
    make: (signal: AbortSignal) => Promise<Held>,
  ): Promise<Held> {
    const { clock } = this.#needs
    const known = held.get(key)
    if (known && clock.now() < known.renewAt) return known
    try {
      const asked = `${held === this.#x509 ? 'x509' : 'jwt'} ${key}`
      if (!this.#asked.has(asked))
        this.#asked.set(
          asked,
          this.#ask(held, key, make).finally(() => this.#asked.delete(asked)),
        )
      await this.#asked.get(asked)
    } catch (error) {
      this.#needs.log.warn({ err: error, spiffeId: placement.spiffeId }, 'a document was not given')
      // It is no workload of this machine, or nobody is vouched to be it now. What is held of it ends as well.
      if (isRefusal(error) || isUnknown(error)) {
        held.delete(key)
        throw new GrpcError(GRPC.permissionDenied, 'the server gives this workload no documents now')
      }
    }
    const now = held.get(key)
    if (now && clock.now() < now.expiresAt) return now
    held.delete(key)
    throw new GrpcError(GRPC.unavailable, AWAY)
  }

  async #ask<Held>(held: Map<string, Held>, key: string, make: (signal: AbortSignal) => Promise<Held>): Promise<void> {
    const turn = this.#turn
    const made = await make(this.#needs.signal)
    // What ended while it was on its way is not kept.
    if (turn === this.#turn || this.#isHere(key)) held.set(key, made)
  }

  #isHere(key: string): boolean {
    const id = key.split(' ')[0]
    return this.#state?.placements.some((placement) => placement.id === id) === true
  }
}

function halfOf({ issuedAt, expiresAt }: { readonly issuedAt: Date; readonly expiresAt: Date }) {
  return { expiresAt, renewAt: secondsAfter(issuedAt, (expiresAt.getTime() - issuedAt.getTime()) / 2000) }
}
