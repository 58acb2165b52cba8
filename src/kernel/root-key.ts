import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { KEY_BYTES } from './seal.ts'
import { Secret } from './secret.ts'

/** How a root key stands in its file: in clear, or wrapped by somebody who has to be asked. */
export type RootKeyForm = {
  wrap(key: Secret<Buffer>): Promise<string>
  /** Undefined where the text is not of this form. */
  unwrap(text: string): Promise<Secret<Buffer>> | undefined
}

/** The files of an installation's root key. */
export type RootKeyFiles = {
  readonly folder: string
  /** In which form keys are made, and any other in which one may still stand. */
  readonly form: RootKeyForm
  readonly others: readonly RootKeyForm[]
}

/** What was wrapped for something else by the same key is no root key of ours. */
export const ROOT_KEY_BOUND_TO = 'reeve root key'

const CURRENT = 'root.key'
const NEXT = 'root.key.next'

/** 32 bytes in base64. */
export const inClear: RootKeyForm = {
  wrap: async (key) => key.reveal().toString('base64'),
  unwrap(text) {
    if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return undefined
    return Promise.resolve(new Secret(Buffer.from(text, 'base64')))
  },
}

/** Where the root key that seals now stands. */
export function rootKeyFile({ folder }: RootKeyFiles): string {
  return join(folder, CURRENT)
}

/** The root key that seals now, or undefined when there is no file. `form` names the only form it may stand in. */
export function readRootKey(files: RootKeyFiles, strictly: boolean): Promise<Secret<Buffer> | undefined> {
  return read(files, CURRENT, strictly)
}

/** The one that is about to seal, while a rewrap is under way. */
export function readNextRootKey(files: RootKeyFiles): Promise<Secret<Buffer> | undefined> {
  return read(files, NEXT, false)
}

/** Makes the first one; where another process was faster, that one's counts. */
export async function makeRootKey(files: RootKeyFiles): Promise<Secret<Buffer>> {
  const draft = await write(files, `${CURRENT}.${randomBytes(6).toString('hex')}.draft`)
  await link(draft.path, join(files.folder, CURRENT)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft.path)
  await flushFolder(files.folder)
  return (await read(files, CURRENT, true)) ?? draft.key
}

/** Makes the one that is about to seal: whole and on the disk before anybody may use it. */
export async function makeNextRootKey(files: RootKeyFiles): Promise<Secret<Buffer>> {
  const draft = await write(files, `${NEXT}.draft`)
  await rename(draft.path, join(files.folder, NEXT))
  await flushFolder(files.folder)
  return draft.key
}

/** The next one seals from now on. The former stays as `root.key.<generation>`: it opens the backups of its time. */
export async function promoteRootKey({ folder }: RootKeyFiles, formerGeneration: number): Promise<string> {
  const former = join(folder, `${CURRENT}.${formerGeneration}`)
  await link(join(folder, CURRENT), former).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rename(join(folder, NEXT), join(folder, CURRENT))
  await flushFolder(folder)
  return former
}

async function read(files: RootKeyFiles, name: string, strictly: boolean): Promise<Secret<Buffer> | undefined> {
  const file = join(files.folder, name)
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    const why = error.code ?? 'unknown'
    throw new Error(`the root key ${file} cannot be read (${why}): give this user the right to read it`, {
      cause: error,
    })
  })
  if (found === undefined) return undefined
  const mode = (await stat(file)).mode & 0o077
  if (mode !== 0) throw new Error(`others may read the root key ${file}: run chmod 600 on it`)
  const text = found.trim()
  for (const form of [files.form, ...files.others]) {
    const key = await form.unwrap(text)
    if (!key) continue
    if (key.reveal().length !== KEY_BYTES) throw damaged(file)
    if (strictly && form !== files.form) {
      throw new Error(
        `the root key ${file} does not stand as custody.kind says: set that to what it was, or stop every node and run \`reeve custody rewrap\``,
      )
    }
    return key
  }
  throw damaged(file)
}

function damaged(file: string): Error {
  return new Error(
    `the root key ${file} is damaged, or wrapped by a system that custody.kind does not name: restore the file from your key backup, or the configuration`,
  )
}

async function write(files: RootKeyFiles, name: string): Promise<{ path: string; key: Secret<Buffer> }> {
  await mkdir(files.folder, { recursive: true, mode: 0o700 })
  const key = new Secret(randomBytes(KEY_BYTES))
  const path = join(files.folder, name)
  const text = await files.form.wrap(key)
  await rm(path, { force: true })
  await using file = await open(path, 'wx', 0o600)
  await file.writeFile(`${text}\n`)
  await file.sync()
  return { path, key }
}

async function flushFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}
