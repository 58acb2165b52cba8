import type { Db } from '../../kernel/db.ts'
import type { SpiffeAuthority } from './contract.ts'

/** The keys of the trust domain that are in its bundle. */
export async function listAuthorities(db: Db): Promise<{ items: SpiffeAuthority[] }> {
  const rows = await db
    .selectFrom('spiffeAuthority')
    .select(['id', 'kind', 'state', 'createdAt', 'signsAt'])
    .where('state', 'in', ['next', 'signing', 'trusted'])
    .orderBy('kind')
    .orderBy('id')
    .execute()
  return { items: rows.map((row) => ({ ...row, kind: kindOf(row.kind), state: stateOf(row.state) })) }
}

function kindOf(kind: string): SpiffeAuthority['kind'] {
  return kind === 'jwt' ? 'jwt' : 'x509'
}

function stateOf(state: string): SpiffeAuthority['state'] {
  return state === 'signing' || state === 'next' ? state : 'trusted'
}
