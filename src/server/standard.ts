import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readCatalog } from '../catalog/catalog.ts'
import type { ActionEntry } from '../catalog/contract.ts'
import { readStandard, type Standard } from '../governance/governance.ts'

const SHIPPED = join(import.meta.dirname, '..', '..', 'policies')

/** The governance standard of the folder of policies, or the shipped one where that has none. */
export function loadStandard(folder: string): Promise<Standard> {
  return readStandard(ownOrShipped(folder, 'standard.json'))
}

/** The actions that no gateway offers yet, of the folder of policies or the shipped ones. */
export function loadCatalog(folder: string): Promise<ActionEntry[]> {
  return readCatalog(ownOrShipped(folder, 'catalog.json'))
}

function ownOrShipped(folder: string, file: string): string {
  const own = join(folder, file)
  return existsSync(own) ? own : join(SHIPPED, file)
}
