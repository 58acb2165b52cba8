import type { z } from 'zod'
import { SSH, sshActions } from '../credentials/credentials.ts'
import { SshSettings } from '../credentials/contract.ts'
import type { GatewayAction } from '../gateways/gateway.ts'
import { gateways } from '../gateways/index.ts'
import { HANDED } from './issued.ts'
import { HOLD_CLASSES, type HoldClass } from '../policy/policy.ts'

/** How targets are reached: through a gateway of ours, or by a credential that the target checks itself. */
type Protocol = {
  readonly protocol: string
  readonly actions: readonly GatewayAction[]
  readonly settings: z.ZodType
  /** Without a gateway nothing of ours sees what is done. */
  readonly enforcement: 'gateway' | 'target'
}

export function protocols(): Protocol[] {
  return [
    ...gateways().map((gateway) => ({ ...gateway, enforcement: 'gateway' as const })),
    { protocol: SSH, actions: sshActions, settings: SshSettings, enforcement: 'target' },
    ...HANDED.map((handed) => ({ ...handed, enforcement: 'target' as const })),
  ]
}

/**
 * The most that is recorded of such actions. Of a certificate that runs one command, the entry says who ran what and when; what happens in a
 * shell that the target opened by itself is nowhere.
 */
export function recordingOf(protocol: string, actions: readonly string[]): 'none' | 'meta' | 'full' {
  if (HANDED.some((handed) => handed.protocol === protocol)) return 'none'
  if (protocol !== SSH) return 'full'
  return actions.every((action) => action === 'ssh.exec') ? 'meta' : 'none'
}

/** The classes of operations that can be held for a person: what a gateway of ours does not see, nobody can. */
export function holdsOf(protocol: string): readonly HoldClass[] {
  const holds = gateways().find((gateway) => gateway.protocol === protocol)?.holds ?? []
  return HOLD_CLASSES.filter((name) => holds.includes(name))
}
