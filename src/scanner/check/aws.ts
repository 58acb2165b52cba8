import { verified, type Verdict } from './verdict.ts'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** The account in an access key id: the first 48 bits after the prefix, less the first and the last seven. */
function awsAccountOf(keyId: string): string | undefined {
  let bits = 0n
  for (const character of keyId.slice(4, 14)) {
    const value = BASE32.indexOf(character)
    if (value < 0) return undefined
    bits = (bits << 5n) | BigInt(value)
  }
  // 50 bits were read; the account is bits 1 to 40.
  const account = (bits >> 9n) & 0xff_ffff_ffffn
  return account < 1_000_000_000_000n ? account.toString().padStart(12, '0') : undefined
}

/** Ids that name an account above twelve digits were never issued. */
export function awsKeyId(secret: string): Verdict | undefined {
  const account = awsAccountOf(secret)
  return account === undefined ? undefined : verified(`account ${account}`)
}
