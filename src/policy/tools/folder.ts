import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadPolicySet, type PolicySet } from '../policy-set.ts'
import type { ActionDeclaration } from '../schema.ts'
import { readCases, type PolicyCase } from './cases.ts'

/** A folder of policies as it would be loaded, with the tests that stand beside them. */
export type PolicyFolder = { readonly set: PolicySet; readonly cases: readonly PolicyCase[] }

const TESTS = '.test.yaml'

/** Reads and checks everything in a folder; throws a problem with file and line for the first kind of fault there is. */
export async function openPolicyFolder(folder: string, actions: readonly ActionDeclaration[]): Promise<PolicyFolder> {
  const set = await loadPolicySet(folder, actions)
  const names = (await readdir(folder)).filter((name) => name.endsWith(TESTS)).sort()
  const cases: PolicyCase[] = []
  for (const name of names) {
    cases.push(...readCases({ name, text: await readFile(join(folder, name), 'utf8') }, set.schema))
  }
  return { set, cases }
}
