import type { Plane } from '../gateways/gateway.ts'
import { openPlane } from '../gateways/host.ts'
import { gateways } from '../gateways/index.ts'
import type { Config } from '../kernel/config.ts'
import type { Stop } from '../kernel/stop.ts'
import type { Domains } from './domains.ts'

export type DoorParts = {
  readonly config: Config
  readonly domains: Domains
  readonly stop: Stop
  readonly tls: Plane['tls']
}

export type OpenDoor = { readonly protocol: string; readonly host: string; readonly port: number }

/** Opens every gateway that is configured. */
export async function openDoors({ config, domains, stop, tls }: DoorParts): Promise<OpenDoor[]> {
  const listens = new Map(Object.entries(config.gateways))
  const opened: OpenDoor[] = []
  for (const gateway of gateways()) {
    const listen = listens.get(gateway.protocol)
    if (!listen) continue
    const { db, log } = domains.sessions
    const { nodeId } = domains.sessions
    const plane = openPlane({ ...domains, db, log, nodeId, tls }, gateway.protocol)
    const door = await gateway.open(plane, listen)
    stop.add(`gateway ${gateway.protocol}`, door, 15_000)
    opened.push({ protocol: gateway.protocol, host: listen.host, port: door.port })
  }
  return opened
}
