import { actOf, isAccountedFor, type Recorded, type RecordedIdentities } from '../../identities/identities.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { readPublicKey, sha256 } from '../../kernel/crypto.ts'
import type { Db } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { jwkOfSpki } from '../../kernel/signing-key.ts'
import type { View } from '../../kernel/view.ts'
import { openX509Key, readAuthority, type SvidMint } from '../../kernel/x509-key.ts'
import { pemOf } from '../../kernel/x509.ts'
import { openMint } from '../../tokens/tokens.ts'
import { keysAtHand, type KeysAtHand } from './at-hand.ts'
import type { SigningRow, SpiffeNeeds } from './authority.ts'
import { svidRefused } from './contract.ts'
import { jwtSvidIssued, x509SvidIssued } from './events.ts'
import { spiffeIdOf } from './id.ts'

/** Clocks of workloads may be behind ours. */
const BACKDATED_SECONDS = 60
const SERIAL_BYTES = 16
/** A common name has 64 characters at most (X.520); what counts is the URI. */
const LONGEST_NAME = 64
/** What is privileged is asked for again soon: a stolen SVID is worth something until it runs out. */
const PRIVILEGED_TIER = 1
const PRIVILEGED_SECONDS = 600

/** Of whom a document is asked for, in which act, and by which machine's agent if by one. */
type Asked = {
  readonly act: ReturnType<typeof actOf>
  readonly identityId: string
  readonly machineId: string | null
}

export type SvidNeeds = SpiffeNeeds & { readonly view: View; readonly recorded: RecordedIdentities }

/**
 * Issues SVIDs of registered identities, by what this node remembers of them and of the keys: an SVID is not revoked anyhow, so what counts is that
 * the next one is refused, as for every decision at the door. Keys are opened once and kept for as long as they sign.
 */
export class SvidIssuer {
  readonly #needs: SvidNeeds
  readonly #keys: KeysAtHand
  #x509: { readonly id: string; readonly mint: SvidMint; readonly endsAt: Date } | undefined
  #jwt: { readonly id: string; readonly mint: ReturnType<typeof openMint> } | undefined

  constructor(db: Db, needs: SvidNeeds) {
    this.#needs = needs
    this.#keys = keysAtHand(db, needs, needs.view)
  }

  /** An identity's own, by its permit. Throws `svidRefused`. */
  async x509(permit: Permit<'svid.issue'>, input: { readonly publicKey: string; readonly ttlSeconds: number }) {
    return this.certify({ act: actOf(permit), identityId: permit.resource.id, machineId: null }, input)
  }

  /** Throws `svidRefused` for an identity that nobody should be vouched to be. */
  async certify(asked: Asked, input: { readonly publicKey: string; readonly ttlSeconds: number }) {
    const { clock, random, ledger, trustDomain } = this.#needs
    const key = readPublicKey(input.publicKey)
    if (key?.algorithm !== 'p-256') throw invalid('publicKey', 'send the public half of a P-256 key as PEM')
    const identity = await this.#vouched(asked.identityId)
    const authority = await this.#x509Key()
    const spiffeId = spiffeIdOf(trustDomain, identity)
    const now = clock.now()
    const expiresAt = this.#endOf(identity, now, input.ttlSeconds, authority.endsAt)
    const der = await authority.mint.mint({
      uri: spiffeId,
      subject: identity.name.slice(0, LONGEST_NAME),
      serial: random.bytes(SERIAL_BYTES),
      notBefore: secondsAfter(now, -BACKDATED_SECONDS),
      notAfter: expiresAt,
      spki: key.spki,
    })
    const serial = sha256(der).subarray(0, SERIAL_BYTES).toString('hex')
    const { machineId } = asked
    await ledger.observe({
      ...asked.act,
      event: x509SvidIssued,
      facts: { spiffeId, serial, keySha256: sha256(key.spki).toString('hex'), expiresAt, machineId },
    })
    const bundle = await this.#keys.anchors()
    return { identityId: identity.id, spiffeId, serial, certificate: pemOf(der), bundle, expiresAt }
  }

  /** Throws `svidRefused` as well. */
  async jwt(
    permit: Permit<'jwt-svid.issue'>,
    input: { readonly audience: readonly string[]; readonly ttlSeconds: number },
  ) {
    return this.vouch({ act: actOf(permit), identityId: permit.resource.id, machineId: null }, input)
  }

  async vouch(asked: Asked, input: { readonly audience: readonly string[]; readonly ttlSeconds: number }) {
    const { clock, random, ledger, trustDomain } = this.#needs
    const identity = await this.#vouched(asked.identityId)
    const mint = await this.#jwtMint()
    const spiffeId = spiffeIdOf(trustDomain, identity)
    const now = clock.now()
    const until = this.#endOf(identity, now, input.ttlSeconds)
    // A token says whole seconds.
    const expiresAt = secondsAfter(until, -(until.getTime() % 1000) / 1000)
    const tokenId = newId(clock, random)
    const audience = [...input.audience]
    const [iat, exp] = [seconds(now), seconds(expiresAt)]
    // JWT-SVID §3: the subject is the ID, and the audience is always said.
    const token = await mint({ sub: spiffeId, aud: audience, iat, exp, jti: tokenId })
    const { machineId } = asked
    await ledger.observe({
      ...asked.act,
      event: jwtSvidIssued,
      facts: { spiffeId, tokenId, audience, expiresAt, machineId },
    })
    return { identityId: identity.id, spiffeId, token, expiresAt }
  }

  async #vouched(id: string): Promise<Recorded> {
    const identity = await this.#needs.recorded.find(id)
    if (!identity) throw notFound('There is no such identity.', { type: 'Identity', id })
    const refused = (sentence: string) => svidRefused(sentence, { identityId: id })
    if (identity.kind === 'human') throw refused('People prove themselves otherwise; SVIDs are for what runs.')
    if (identity.state !== 'active') throw refused(`The identity is ${identity.state}, not active.`)
    if (!isAccountedFor(identity)) throw refused('Nobody answers for this identity.')
    if (identity.expiresAt && identity.expiresAt <= this.#needs.clock.now()) throw refused('The identity has expired.')
    return identity
  }

  #endOf(identity: Recorded, now: Date, ttlSeconds: number, ...bounds: readonly Date[]): Date {
    const most = identity.tier <= PRIVILEGED_TIER ? Math.min(ttlSeconds, PRIVILEGED_SECONDS) : ttlSeconds
    const ends = [secondsAfter(now, most), ...bounds, ...(identity.expiresAt ? [identity.expiresAt] : [])]
    return ends.reduce((first, at) => (at < first ? at : first))
  }

  async #x509Key() {
    const row = await this.#keys.signing('x509')
    if (this.#x509?.id !== row.id) {
      const { subject, endsAt } = authorityOf(row)
      this.#x509 = { id: row.id, mint: openX509Key(await this.#open(row), subject), endsAt }
    }
    return this.#x509
  }

  async #jwtMint() {
    const row = await this.#keys.signing('jwt')
    if (this.#jwt?.id !== row.id) {
      this.#jwt = { id: row.id, mint: openMint(await this.#open(row), 'JWT') }
    }
    return this.#jwt.mint
  }

  #open({ kept, publicKey }: SigningRow) {
    return this.#needs.keys.open(kept, jwkOfSpki(publicKey))
  }
}

function authorityOf({ id, certificate }: SigningRow) {
  if (!certificate) throw new Error(`the key ${id} of the trust domain has no certificate`)
  return readAuthority(certificate)
}

function seconds(at: Date): number {
  return Math.floor(at.getTime() / 1000)
}
