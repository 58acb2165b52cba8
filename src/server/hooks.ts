import { endGrantsOf, type EndNeeds } from '../access/access.ts'
import type { OnAccountRetired, OnPurposeEnded, OnTargetRetired } from '../catalog/catalog.ts'
import {
  endLeasesOf,
  rotateAfterBreakGlass,
  rotateAfterLeaver,
  type RotationNeeds,
} from '../credentials/credentials.ts'
import type { OnIdentityEnded } from '../identities/identities.ts'
import type { Clock } from '../kernel/clock.ts'
import { enqueue } from '../kernel/jobs.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'
import { endLoginSessionsOf } from '../login/login.ts'
import { endTokensOf } from '../tokens/tokens.ts'

/** The job that looks for leases to end; its row's own `next_try_at` is what counts. */
export const END_LEASES_JOB = 'leases.end'

/** What a change in one domain means for the ones above it, in the same transaction (core 4). */
export type Hooks = EndNeeds & {
  readonly onIdentityEnded: OnIdentityEnded
  readonly onPurposeEnded: OnPurposeEnded
  readonly onTargetRetired: OnTargetRetired
  readonly onAccountRetired: OnAccountRetired
}

export function openHooks(clock: Clock, ledger: Ledger, rotation?: RotationNeeds): Hooks {
  const needs: EndNeeds = {
    clock,
    ledger,
    onGrantEnded: [
      async (tx, ended) => {
        const count = await endLeasesOf(tx, { clock }, ended)
        if (count > 0) await enqueue(tx, END_LEASES_JOB, {}, { key: END_LEASES_JOB })
      },
      async (tx, ended) => void (rotation && (await rotateAfterBreakGlass(tx, rotation, ended))),
    ],
  }
  return {
    ...needs,
    async onIdentityEnded(tx, { identityId, reason }) {
      await endLoginSessionsOf(tx, needs, identityId)
      await endTokensOf(tx, needs, identityId)
      await endGrantsOf(tx, needs, { identityId }, { reason, actor: SYSTEM })
      if (rotation) await rotateAfterLeaver(tx, rotation, { identityId })
    },
    async onPurposeEnded(tx, { purposeId }) {
      await endGrantsOf(tx, needs, { purposeId }, { reason: 'purpose-ended', actor: SYSTEM })
    },
    async onTargetRetired(tx, { targetId }) {
      await endGrantsOf(tx, needs, { targetId }, { reason: 'target-retired', actor: SYSTEM })
    },
    async onAccountRetired(tx, { accountId }) {
      await endGrantsOf(tx, needs, { accountId }, { reason: 'account-retired', actor: SYSTEM })
    },
  }
}
