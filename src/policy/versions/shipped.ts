import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { VOCABULARY_FILE } from '../authzen/vocabulary.ts'
import { RISK_FILE } from '../policy-set.ts'

const OTHERS = new Set([RISK_FILE, VOCABULARY_FILE])

/** The files of a folder that a version is made of, in order. */
export async function readFiles(folder: string): Promise<{ name: string; text: string }[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.cedar') || OTHERS.has(name)).sort()
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })))
}
