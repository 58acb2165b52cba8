import type { Identity } from '../../identities/contract.ts'
import { spiffeIdText } from '../../kernel/spiffe-id.ts'

/** The one SPIFFE ID of a registered identity: its kind and its name, which never changes hands. */
export function spiffeIdOf(trustDomain: string, { kind, name }: Pick<Identity, 'kind' | 'name'>): string {
  return spiffeIdText({ trustDomain, path: `/${kind}/${name}` })
}
