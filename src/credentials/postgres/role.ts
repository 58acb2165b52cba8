import { sha256 } from '../../kernel/crypto.ts'
import type { Random } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { LeaseFailure } from '../writer.ts'
import type { Upstream } from './upstream.ts'

/** 64 random bits in the name: unique at any target, and nobody guesses whose lease it is. */
const NAME_BYTES = 8
const SECRET_BYTES = 32
/** First key of the advisory lock that fences one principal; any fixed number does ("reev"). */
const FENCE = 0x72656576

/** Pure: the role's name and its secret. */
export function announceRole(random: Random): { principal: string; secret: Secret } {
  return {
    principal: `reeve_${random.bytes(NAME_BYTES).toString('hex')}`,
    secret: new Secret(random.bytes(SECRET_BYTES).toString('base64url')),
  }
}

/** What the provisioner is and may do here. */
export type Standing = { readonly version: number; readonly user: string; readonly isSuperuser: boolean }

export const STANDING = `select current_setting('server_version_num')::int as version, current_user as "user",
       r.rolsuper as is_superuser, pg_is_in_recovery() as standby
  from pg_roles r where r.rolname = current_user`

export type StandingRow = {
  readonly version: number
  readonly user: string
  readonly is_superuser: boolean
  readonly standby: boolean
}

export async function standingOf(upstream: Upstream): Promise<Standing> {
  const [row] = await upstream.query<StandingRow>('looking at the server', STANDING)
  return standingIn(row)
}

/** Throws where no roles can be made or ended. */
export function standingIn(row: StandingRow | undefined): Standing {
  if (!row) throw new LeaseFailure('the server does not say who the provisioner is')
  if (row.standby) throw new LeaseFailure('the target is a standby: roles are made and ended at its primary')
  return { version: row.version, user: row.user, isSuperuser: row.is_superuser }
}

/** The two keys of the advisory lock; the second is the first 32 bits of the name. */
export function fenceOf(principal: string): [number, number] {
  return [FENCE, sha256(principal).readInt32BE(0)]
}

/** Of a maker: shared while roles are made as it, and held alone while it goes. */
export function makerLockOf(maker: string): [number, number] {
  return [FENCE + 2, sha256(maker).readInt32BE(0)]
}

/** Held while roles are emptied together. */
export const EMPTYING: readonly [number, number] = [FENCE + 1, 0]
