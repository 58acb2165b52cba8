import { readFile, stat } from 'node:fs/promises'
import { Secret } from './secret.ts'

/** What a file of secrets says, without what stands around it. Throws a sentence where it cannot be read, or others may read it; `what` names it. */
export async function readSecretFile(file: string, what: string): Promise<Secret> {
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${what} ${file} cannot be read (${error.code ?? 'unknown'})`, { cause: error })
  })
  if (((await stat(file)).mode & 0o077) !== 0) throw new Error(`others may read ${what} ${file}: run chmod 600 on it`)
  return new Secret(found.trim())
}
