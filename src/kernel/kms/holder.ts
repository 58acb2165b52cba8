import { createHash } from 'node:crypto'
import { z } from 'zod'
import { jwkOfSpki, rawFromDer } from '../signing-key.ts'
import type { KeyHolder } from '../signing-keys.ts'
import { KmsRefused, type Kms } from './client.ts'

/** The shortest time after which AWS destroys a key; until then it can be taken back there. */
const DAYS_UNTIL_GONE = 7

const Made = z.object({
  KeyMetadata: z.object({
    Arn: z
      .string()
      .regex(/^arn:[a-z-]+:kms:/)
      .max(500),
  }),
})
const Public = z.object({ PublicKey: z.base64().max(10_000) })
const Signed = z.object({ Signature: z.base64().max(1_000) })
/** A longer message has to be hashed before it is sent. */
const MOST_RAW_BYTES = 4_096
/** RFC 3279 §2.2.3: a sequence of two integers, for P-256 of 72 bytes at most. */
const MOST_SIGNATURE_BYTES = 72
const LEAST_SIGNATURE_BYTES = 8

/** Keys that sign in AWS KMS, named by their ARN. */
export function kmsHolder(kms: Kms): KeyHolder {
  return {
    kind: 'kms',
    isHeld: (reference) => /^arn:[a-z-]+:kms:/.test(reference),
    async make(label) {
      const input = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', Description: label }
      const tags = [{ TagKey: 'reeve', TagValue: 'signing' }]
      const { Arn: reference } = (await kms.ask('CreateKey', { ...input, Tags: tags }, Made)).KeyMetadata
      const { PublicKey } = await kms.ask('GetPublicKey', { KeyId: reference }, Public)
      return { reference, publicJwk: jwkOfSpki(Buffer.from(PublicKey, 'base64')) }
    },
    async sign(reference, message) {
      const isLong = message.length > MOST_RAW_BYTES
      const sent = isLong ? createHash('sha256').update(message).digest() : Buffer.from(message)
      const how = { MessageType: isLong ? 'DIGEST' : 'RAW', SigningAlgorithm: 'ECDSA_SHA_256' }
      const input = { KeyId: reference, Message: sent.toString('base64'), ...how }
      const der = Buffer.from((await kms.ask('Sign', input, Signed)).Signature, 'base64')
      const isWhole = der[0] === 0x30 && der[1] === der.length - 2 && der.length >= LEAST_SIGNATURE_BYTES
      if (!isWhole || der.length > MOST_SIGNATURE_BYTES) throw new Error('AWS KMS answered with no signature of P-256')
      return rawFromDer(der)
    },
    async destroy(reference) {
      // Only keys of this account and region are made, so the id names it as well as the ARN.
      const input = { KeyId: reference.slice(reference.lastIndexOf('/') + 1), PendingWindowInDays: DAYS_UNTIL_GONE }
      await kms.ask('ScheduleKeyDeletion', input, z.object({})).catch((error: unknown) => {
        if (!(error instanceof KmsRefused)) throw error
        if (error.code !== 'NotFoundException' && error.code !== 'KMSInvalidStateException') throw error
      })
    },
  }
}
