import { spawn, type SpawnOptions } from 'node:child_process'
import { statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Whom PostgreSQL runs as. It refuses root, so root drops to a number that needs no entry of its own anywhere. */
export type Account = { readonly uid: number; readonly gid: number; readonly isDropped: boolean }

/** The kernel's overflow uid, `nobody` on every distribution: owns nothing but what we give it. */
const NOBODY = 65_534

/** The account for a data folder: its owner when root runs us and it exists already, otherwise ourselves or nobody. */
export function chooseAccount(dataFolder: string): Account {
  const uid = process.getuid?.() ?? -1
  const gid = process.getgid?.() ?? -1
  if (uid !== 0) return { uid, gid, isDropped: false }
  const owner = statSync(dataFolder, { throwIfNoEntry: false })
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid, isDropped: true }
  return { uid: NOBODY, gid: NOBODY, isDropped: true }
}

const READ = 4
const SEARCH = 1

/** Whether `account` may read and enter `path`, by the mode alone: what an access list adds is not needed to start. */
export function mayUse(account: Account, path: string, bits: number = READ | SEARCH): boolean {
  const entry = statSync(path, { throwIfNoEntry: false })
  if (entry === undefined) return false
  const shift = entry.uid === account.uid ? 6 : entry.gid === account.gid ? 3 : 0
  return ((entry.mode >> shift) & bits) === bits
}

/** The outermost folder above `path` that `account` may not pass through. */
export function firstClosedParent(account: Account, path: string): string | undefined {
  if (!account.isDropped) return undefined
  const parents: string[] = []
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    parents.unshift(folder)
    if (folder === dirname(folder)) break
  }
  return parents.find((folder) => !mayUse(account, folder, SEARCH))
}

/** How to spawn as `account`. Our own environment stays here: it may hold the secrets of the whole installation. */
export function asAccount(account: Account): SpawnOptions {
  const base = { cwd: '/', env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' } }
  return account.isDropped ? { ...base, uid: account.uid, gid: account.gid } : base
}

/** Runs a program to its end and answers what it wrote; `input` goes to its standard input, so secrets stay out of `ps`. */
export async function runAs(
  account: Account,
  command: readonly [file: string, ...args: string[]],
  input = '',
): Promise<{ code: number | null; output: string }> {
  const [file, ...args] = command
  const child = spawn(file, args, { ...asAccount(account), stdio: 'pipe' })
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk))
  // A program that dies early closes its input; its exit code says why.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, output: Buffer.concat(chunks).toString('utf8') }
}
