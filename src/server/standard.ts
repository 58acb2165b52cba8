import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readStandard, type Standard } from '../governance/governance.ts'

const FILE = 'standard.json'
const SHIPPED = join(import.meta.dirname, '..', '..', 'policies', FILE)

/** The governance standard of the folder of policies, or the shipped one where that has none. */
export function loadStandard(folder: string): Promise<Standard> {
  const own = join(folder, FILE)
  return readStandard(existsSync(own) ? own : SHIPPED)
}
