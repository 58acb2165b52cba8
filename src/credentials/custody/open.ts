import { isUtf8 } from 'node:buffer'
import { sha256 } from '../../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { hpkeSeal, readX25519 } from '../../kernel/hpke.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { SealBroken } from '../../kernel/seal.ts'
import type { Secret } from '../../kernel/secret.ts'
import { actOf } from '../../identities/identities.ts'
import { custodyBroken, type ExportDeposit, type Exported, type Revealed, type RevealDeposit } from './contract.ts'
import { lockKept, placeOf } from './deposits.ts'
import { reachCustody } from './fault-points.ts'
import { depositBroken, depositExported, depositRevealed } from './events.ts'
import type { CustodyNeeds } from './needs.ts'
import { hasRead } from './sight.ts'

const FORMAT = 'hpke-x25519-sha256-aes256gcm'

/** Opens a value. That it is seen, by whom and why is committed before anybody has it. */
export async function revealDeposit(
  db: Db,
  needs: CustodyNeeds,
  permit: Permit<'deposit.reveal'>,
  { version, reason }: RevealDeposit,
): Promise<Revealed> {
  const { value, number } = await openKnowing(db, needs, permit, {
    version,
    how: 'revealed',
    record: (tx, { name, number: at }) =>
      needs.ledger.record(tx, {
        ...actOf(permit),
        event: depositRevealed,
        facts: { name, version: at, reason },
      }),
  })
  const bytes = value.reveal()
  const encoding = isUtf8(bytes) ? 'text' : 'base64'
  return { version: number, encoding, value: bytes.toString(encoding === 'text' ? 'utf8' : 'base64') }
}

/** Seals a value to somebody's public key (RFC 9180), bound to this deposit and version: in clear it leaves nowhere. */
export async function exportDeposit(
  db: Db,
  needs: CustodyNeeds,
  permit: Permit<'deposit.export'>,
  { recipient, version }: ExportDeposit,
): Promise<Exported> {
  const publicKey = readX25519(recipient)
  if (!publicKey) throw invalid('recipient', 'this is no X25519 public key: give PEM, or its 32 bytes in base64')
  const key = sha256(publicKey).toString('hex')
  const { value, number, name } = await openKnowing(db, needs, permit, {
    version,
    how: 'exported',
    record: (tx, { name: named, number: at }) =>
      needs.ledger.record(tx, {
        ...actOf(permit),
        event: depositExported,
        facts: { name: named, version: at, recipient: key },
      }),
  })
  const info = 'reeve deposit export v1'
  const aad = `${name}:${number}`
  const sealed = sealTo(publicKey, value, { info: Buffer.from(info), aad: Buffer.from(aad) })
  return {
    version: number,
    format: FORMAT,
    recipient: key,
    info,
    aad,
    enc: sealed.enc.toString('base64'),
    ciphertext: sealed.ciphertext.toString('base64'),
  }
}

function sealTo(publicKey: Buffer, value: Secret<Buffer>, bound: { readonly info: Buffer; readonly aad: Buffer }) {
  try {
    return hpkeSeal(publicKey, value, bound)
  } catch (error) {
    // RFC 9180 §7.1.4: a key of small order would give everybody the same secret.
    throw invalid('recipient', `nothing can be sealed to this key (${error instanceof Error ? error.name : 'error'})`)
  }
}

type Opening = {
  readonly version: number | undefined
  readonly how: 'revealed' | 'exported'
  readonly record: (tx: Tx, of: { readonly name: string; readonly number: number }) => Promise<number>
}

async function openKnowing(db: Db, needs: CustodyNeeds, permit: Permit, { version, how, record }: Opening) {
  const { id } = permit.resource
  const opened = await transact(db, async (tx) => {
    const { name, version: last } = await lockKept(tx, id, 'share')
    const number = version ?? last
    const row = await tx
      .selectFrom('depositVersion')
      .select(['id', 'sealedValue'])
      .where('depositId', '=', id)
      .where('number', '=', number)
      .executeTakeFirst()
    if (!row) throw notFound('There is no such version.', { type: 'Deposit', id })
    if (!row.sealedValue) {
      throw conflict('The version was destroyed.', { type: 'Deposit', id, state: 'retired' })
    }
    const value = tried(() => needs.seal.open(row.sealedValue ?? Buffer.alloc(0), placeOf(row.id, id, number)))
    if (!value) {
      await needs.ledger.record(tx, {
        ...actOf(permit),
        outcome: 'failed',
        event: depositBroken,
        facts: { name, version: number },
      })
      return { name, number, value }
    }
    const cause = await record(tx, { name, number })
    await hasRead(tx, needs, permit, { depositId: id, number, how, cause })
    await reachCustody('custody.known')
    return { name, number, value }
  })
  const { value, number, name } = opened
  if (value) return { value, number, name }
  const { keyId } = needs.seal
  throw custodyBroken(
    `Version ${number} of ${name} does not open under the root key ${keyId}: the row was changed, moved, or restored from elsewhere. Restore that row, or put the value again; security finds the entry deposit.broken.`,
    { type: 'Deposit', id, version: number, keyId },
  )
}

function tried(open: () => Secret<Buffer>): Secret<Buffer> | undefined {
  try {
    return open()
  } catch (error) {
    if (error instanceof SealBroken) return undefined
    throw error
  }
}
