import type { Gateway } from './gateway.ts'
import { postgresGateway } from './postgres/gateway.ts'

/** Every gateway there is. A new protocol is a folder and a line here. */
export function gateways(): readonly Gateway[] {
  return [postgresGateway()]
}
