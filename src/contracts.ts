/** Every operation and every kind of ledger entry there is, named one domain at a time: what is not here is not in the product. */
import { z } from 'zod'
import { accessOperations, Change, CHANGE_PROBLEMS } from './access/contract.ts'
import { accessEvents } from './access/events.ts'
import { catalogOperations } from './catalog/contract.ts'
import { catalogEvents } from './catalog/events.ts'
import { credentialOperations } from './credentials/contract.ts'
import { credentialEvents } from './credentials/events.ts'
import { governanceOperations } from './governance/contract.ts'
import { governanceEvents } from './governance/events.ts'
import { identityOperations } from './identities/contract.ts'
import { identityEvents } from './identities/events.ts'
import { inventoryOperations } from './inventory/contract.ts'
import { inventoryEvents } from './inventory/events.ts'
import type { EventKind } from './kernel/event.ts'
import type { Operation } from './kernel/operation.ts'
import { ledgerOperations } from './ledger/contract.ts'
import { ledgerContinued, personalRevealed } from './ledger/events.ts'
import { lifecycleOperations } from './lifecycle/contract.ts'
import { lifecycleEvents } from './lifecycle/events.ts'
import { loginOperations, StepUp, STEP_UP_PROBLEMS } from './login/contract.ts'
import { loginEvents } from './login/events.ts'
import { policyOperations } from './policy/contract.ts'
import { policyEvents } from './policy/events.ts'
import { sessionOperations } from './sessions/contract.ts'
import { sessionEvents } from './sessions/events.ts'
import { tokenOperations } from './tokens/contract.ts'
import { tokenEvents } from './tokens/events.ts'

export const operations: readonly Operation[] = [
  ...identityOperations,
  ...catalogOperations,
  ...accessOperations,
  ...credentialOperations,
  ...sessionOperations,
  ...ledgerOperations,
  ...policyOperations,
  ...inventoryOperations,
  ...governanceOperations,
  ...tokenOperations,
  ...loginOperations,
  ...lifecycleOperations,
]

/** What a call may answer and end in when others have to approve it, or its person has to show that it is them. */
export const deferral = {
  output: z.union([Change, StepUp]),
  problems: [...CHANGE_PROBLEMS, ...STEP_UP_PROBLEMS],
}

export const events: readonly EventKind[] = [
  ...identityEvents,
  ...catalogEvents,
  ...policyEvents,
  ...accessEvents,
  ...credentialEvents,
  ...sessionEvents,
  ...inventoryEvents,
  ...governanceEvents,
  ...tokenEvents,
  ...loginEvents,
  ...lifecycleEvents,
  ledgerContinued,
  personalRevealed,
]
