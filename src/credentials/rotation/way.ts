import type { Db } from '../../kernel/db.ts'
import type { Seal } from '../../kernel/seal.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Rotation } from './contract.ts'

/** How the login of an account gets another secret. */
export type Way = {
  readonly strategy: Rotation['strategy']
  readonly alternate: string | null
  readonly soakSeconds: number
  readonly hookUrl: string | null
  readonly hookKey: Secret | undefined
  readonly instructions: string | null
  readonly ownerTeam: string | null
  readonly deadlineDays: number | null
}

const CUT_OVER: Way = {
  strategy: 'cut-over',
  alternate: null,
  soakSeconds: 0,
  hookUrl: null,
  hookKey: undefined,
  instructions: null,
  ownerTeam: null,
  deadlineDays: null,
}

/** Of an account of which nobody said how, and of every provisioner: it is cut over. */
export async function wayOf(db: Db, needs: { readonly seal: Seal }, accountId: string | null): Promise<Way> {
  if (accountId === null) return CUT_OVER
  const row = await db.selectFrom('rotationWay').selectAll().where('accountId', '=', accountId).executeTakeFirst()
  if (!row) return CUT_OVER
  const { sealedKey, ...way } = row
  return { ...way, hookKey: sealedKey ? openKey(needs, row.id, sealedKey) : undefined }
}

export function sealKey({ seal }: { readonly seal: Seal }, wayId: string, key: Secret): Buffer {
  return seal.seal(key, `rotation_way.sealed_key:${wayId}`)
}

function openKey({ seal }: { readonly seal: Seal }, wayId: string, sealed: Buffer): Secret {
  return new Secret(seal.open(sealed, `rotation_way.sealed_key:${wayId}`).reveal().toString('utf8'))
}
