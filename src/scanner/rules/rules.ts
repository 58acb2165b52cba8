import { ai } from './ai.ts'
import { chat } from './chat.ts'
import { cloud } from './cloud.ts'
import { databases } from './databases.ts'
import { forge } from './forge.ts'
import { keys } from './keys.ts'
import { payment } from './payment.ts'
import { registry } from './registry.ts'
import { saas } from './saas.ts'
import { stores } from './stores.ts'
import type { Rule } from './rule.ts'

/** The rules by family. What none of them knows, `generic` finds by the name it is assigned to. */
export const families: Readonly<Record<string, readonly Rule[]>> = {
  cloud,
  forge,
  registry,
  chat,
  payment,
  ai,
  saas,
  stores,
  databases,
  keys,
}

export const rules: readonly Rule[] = Object.values(families).flat()
