import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PolicyFiles } from './contract.ts'

/** The files of a folder that a version is made of, in order. */
export async function readFiles(folder: string): Promise<PolicyFiles> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.cedar') || name === 'risk.json').sort()
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })))
}
