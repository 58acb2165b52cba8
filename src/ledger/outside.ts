import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { NOTE_MAX_BYTES } from './tree/note.ts'

/** The last signed checkpoint as kept outside the database (core 12); undefined when none was kept here yet. */
export async function readOutside(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text !== undefined && Buffer.byteLength(text) > NOTE_MAX_BYTES) throw new Error(`${file} holds no checkpoint`)
  return text
}

/**
 * Replaces it in one step that survives a crash: a new file, synced, takes the old one's name, and the folder is synced. `writer` is one per
 * process: a node that is about to lose the lock and the one that took it may write to the same folder, each a file of its own.
 */
export async function writeOutside(file: string, note: string, writer: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const fresh = `${file}.${writer}.new`
  try {
    await using written = await open(fresh, 'w', 0o600)
    await written.writeFile(note)
    await written.sync()
    await rename(fresh, file)
  } catch (error) {
    await rm(fresh, { force: true })
    throw error
  }
  await using folder = await open(dirname(file), 'r')
  await folder.sync()
}
