import { Unreadable, type Connector, type Given, type OpenSource } from '../../connectors/connector.ts'
import type { Db } from '../../kernel/db.ts'
import { Secret } from '../../kernel/secret.ts'
import { waitingFor } from './inbox.ts'
import type { InventoryNeeds } from '../needs.ts'
import type { SourceRecord } from './source-records.ts'

export function sealPlace(sourceId: string): string {
  return `source.sealed_credential:${sourceId}`
}

/** Opens the source by its connector, with the login out of its seal. */
export async function openSource(
  db: Db,
  needs: InventoryNeeds,
  record: SourceRecord,
  signal: AbortSignal,
): Promise<OpenSource> {
  const connector = needs.connectors.get(record.connector)
  if (!connector) throw new Unreadable(`this installation has no connector ${record.connector}`)
  const row = await db.selectFrom('source').select('sealedCredential').where('id', '=', record.id).executeTakeFirst()
  const sealed = row?.sealedCredential
  const credential = sealed
    ? new Secret(needs.seal.open(sealed, sealPlace(record.id)).reveal().toString('utf8'))
    : undefined
  const delivered = (after: number) => waitingFor(db, record.id, after)
  return openWith(needs, connector, { settings: record.settings, credential, sourceId: record.id, delivered }, signal)
}

type As = { readonly settings: unknown; readonly credential: Secret | undefined; readonly sourceId: string } & Pick<
  Given,
  'delivered'
>

export function openWith(needs: InventoryNeeds, connector: Connector, as: As, signal: AbortSignal) {
  return connector.open(
    {
      settings: as.settings,
      credential: as.credential,
      clock: needs.clock,
      fingerprint: (value) => needs.fingerprints.of(value),
      http: needs.httpTo(connector.address(as.settings)),
      also: (connector.also?.(as.settings) ?? []).map(needs.httpTo),
      ours: needs.ours,
      ...(as.delivered && { delivered: as.delivered }),
      custody: (secret) => needs.seal.seal(secret, `source.issued:${as.sourceId}`),
    },
    signal,
  )
}
