/** Git's own program, asked for objects and history; nothing of the repository's configuration may run a program of its choice. */
import { spawn } from 'node:child_process'
import { isUtf8 } from 'node:buffer'
import { processEnvironment } from '../../kernel/environment.ts'
import { instantAt, placeInTime } from '../../kernel/instant.ts'

export type Blob = { readonly id: string; readonly bytes: Buffer; readonly sizeBytes: number }
/** Where a blob was first seen, walking from the newest commit to the oldest. */
export type Introduction = {
  readonly commit: string
  readonly author: string
  /** In seconds since 1970, and written; neither where the commit has no time that can be written. */
  readonly seconds: number | undefined
  readonly at: string | null
  readonly path: string
}

/** What the program would ask, show or fetch is off; so is what a repository's configuration may start. */
const QUIET = [
  '--no-optional-locks',
  '--no-pager',
  '-c',
  'core.fsmonitor=false',
  '-c',
  'core.hooksPath=/dev/null',
  '-c',
  'protocol.allow=never',
  '-c',
  'log.showSignature=false',
  '-c',
  'core.quotePath=false',
]

/** Runs git and gives its output in chunks. Throws a sentence when it fails. */
async function* git(folder: string, args: readonly string[], input?: string): AsyncGenerator<Buffer> {
  const env = { ...processEnvironment(), GIT_TERMINAL_PROMPT: '0', GIT_NO_LAZY_FETCH: '1', GIT_PAGER: 'cat' }
  const child = spawn('git', [...QUIET, ...args], { cwd: folder, env, stdio: ['pipe', 'pipe', 'pipe'] })
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < 2000) complaint += chunk.toString('utf8')
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(input ?? '')
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', (cause) =>
      reject(new Error('History needs the program git, which cannot be started here.', { cause })),
    )
    child.on('close', resolve)
  })
  ended.catch(() => undefined)
  try {
    for await (const chunk of child.stdout) yield Buffer.from(chunk)
    const code = await ended
    if (code !== 0) throw new Error(`git ${args[0]} failed: ${complaint.trim().split('\n')[0] ?? 'no reason given'}`)
  } finally {
    if (child.exitCode === null) child.kill()
  }
}

/** The output as lines, or as parts that end in another byte. */
async function* parts(chunks: AsyncIterable<Buffer>, end = '\n'): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of chunks) {
    const all = (rest + chunk.toString('latin1')).split(end)
    rest = all.pop() ?? ''
    for (const part of all) yield textOf(part)
  }
  if (rest !== '') yield textOf(rest)
}

/** Bytes as text; those that are no UTF-8 stay what they are, so that no two paths become one. */
function textOf(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1')
  return isUtf8(bytes) ? bytes.toString('utf8') : latin1
}

/** The ids of all blobs of the repository, reachable or not, in the order of the packs. */
export async function allBlobs(folder: string): Promise<{ id: string; sizeBytes: number }[]> {
  const blobs: { id: string; sizeBytes: number }[] = []
  const format = '--batch-check=%(objectname) %(objecttype) %(objectsize)'
  for await (const line of parts(git(folder, ['cat-file', '--batch-all-objects', '--unordered', '--buffer', format]))) {
    const [id = '', type, size] = line.split(' ')
    if (type === 'blob') blobs.push({ id, sizeBytes: Number(size) })
  }
  return blobs
}

/** Blobs by id, each read once; of large ones the first bytes, the rest is passed over. What is missing comes without bytes. */
export async function* readBlobs(folder: string, ids: readonly string[], mostBytes: number): AsyncGenerator<Blob> {
  let [held, heldBytes]: [Buffer[], number] = [[], 0]
  let open: { id: string; sizeBytes: number; left: number; taken: Buffer[]; takenBytes: number } | undefined
  if (ids.length === 0) return
  for await (const chunk of git(folder, ['cat-file', '--batch', '--buffer'], `${ids.join('\n')}\n`)) {
    let bytes = heldBytes > 0 ? Buffer.concat([...held, chunk]) : chunk
    held = []
    heldBytes = 0
    while (bytes.length > 0) {
      if (!open) {
        const end = bytes.indexOf(10)
        if (end < 0) {
          held = [bytes]
          heldBytes = bytes.length
          break
        }
        const [id = '', type = '', size] = bytes.toString('latin1', 0, end).split(' ')
        bytes = bytes.subarray(end + 1)
        if (size === undefined) yield { id, bytes: Buffer.alloc(0), sizeBytes: type === 'missing' ? -1 : 0 }
        else open = { id, sizeBytes: Number(size), left: Number(size) + 1, taken: [], takenBytes: 0 }
        continue
      }
      const part = bytes.subarray(0, open.left)
      if (open.takenBytes < mostBytes) {
        open.taken.push(part.subarray(0, Math.min(part.length, mostBytes - open.takenBytes)))
        open.takenBytes += part.length
      }
      open.left -= part.length
      bytes = bytes.subarray(part.length)
      if (open.left > 0) continue
      const whole = open.taken.length === 1 ? (open.taken[0] ?? Buffer.alloc(0)) : Buffer.concat(open.taken)
      // The newline after each object is git's.
      yield { id: open.id, sizeBytes: open.sizeBytes, bytes: whole.subarray(0, Math.min(open.sizeBytes, mostBytes)) }
      open = undefined
    }
  }
}

/** Paths of the objects that these revisions reach and others do not; the first path that git names. Throws where one is missing. */
export async function pathsOf(folder: string, revisions: readonly string[]): Promise<Map<string, string>> {
  const paths = new Map<string, string>()
  for await (const { id, path } of objectsOf(folder, revisions)) if (path !== undefined) paths.set(id, path)
  return paths
}

/** Everything that all refs reach: of what the repository lacks (a partial clone, damage) only the id. */
export function allObjects(
  folder: string,
): AsyncGenerator<{ id: string; path: string | undefined; isMissing: boolean }> {
  return objectsOf(folder, ['--missing=print', '--all'])
}

async function* objectsOf(
  folder: string,
  args: readonly string[],
): AsyncGenerator<{ id: string; path: string | undefined; isMissing: boolean }> {
  for await (const line of parts(git(folder, ['rev-list', '--objects', ...args]))) {
    const at = line.indexOf(' ')
    if (line.startsWith('?')) yield { id: line.slice(1), path: undefined, isMissing: true }
    else if (at > 0 && at + 1 < line.length) yield { id: line.slice(0, at), path: line.slice(at + 1), isMissing: false }
  }
}

/** For the blobs asked about: which commit first brought each to each path. One walk over the history. */
export async function introductions(
  folder: string,
  wanted: ReadonlySet<string>,
  revisions: readonly string[],
): Promise<Map<string, Map<string, Introduction>>> {
  const found = new Map<string, Map<string, Introduction>>()
  const log = ['log', '--topo-order', '-m', '--root', '--raw', '-z', '--no-abbrev', '--no-renames', '--no-ext-diff']
  let commit: Omit<Introduction, 'path'> | undefined
  let newId: string | undefined
  // Seconds, since git ends over a time that it cannot write; the author last, since a name may hold what parts the others.
  for await (const part of parts(git(folder, [...log, '--format=%x01%H%x02%ct%x02%an <%ae>', ...revisions]), '\0')) {
    if (newId !== undefined) {
      // Older commits come later and replace what newer ones said.
      if (commit && wanted.has(newId))
        found.set(newId, (found.get(newId) ?? new Map()).set(part, { ...commit, path: part }))
      newId = undefined
      continue
    }
    const text = part.replace(/^\n/, '')
    if (text.startsWith('\u0001')) {
      const [id = '', seconds = '', ...author] = text.slice(1).split('\u0002')
      commit = { commit: id, author: author.join('').trim(), ...timeOf(seconds) }
    } else if (text.startsWith(':')) newId = text.split(' ')[3]
  }
  return found
}

function timeOf(text: string): Pick<Introduction, 'seconds' | 'at'> {
  const at = /^\d{1,15}$/.test(text) ? instantAt(Number(text) * 1000) : undefined
  if (!at || placeInTime(at) !== 'yes') return { seconds: undefined, at: null }
  return { seconds: Number(text), at: at.toISOString().replace('.000Z', 'Z') }
}

/** The blobs of the newest state, by path; none in a repository without commits. Throws where it cannot be read: a secret would seem removed. */
export async function blobsOfHead(folder: string): Promise<Map<string, string>> {
  const blobs = new Map<string, string>()
  for await (const line of parts(git(folder, ['cat-file', '--batch-check'], 'HEAD\n'))) {
    if (line.endsWith(' missing')) return blobs
  }
  for await (const part of parts(git(folder, ['ls-tree', '-r', '-z', 'HEAD']), '\0')) {
    const cut = part.indexOf('\t')
    const [, type, id] = part.slice(0, cut).split(' ')
    if (cut > 0 && type === 'blob' && id !== undefined) blobs.set(part.slice(cut + 1), id)
  }
  return blobs
}

/** What is staged: the new content of each changed path, and the one it replaces. */
export async function stagedBlobs(folder: string): Promise<{ path: string; id: string; oldId: string }[]> {
  const staged: { path: string; id: string; oldId: string }[] = []
  let ids: readonly string[] = []
  const args = [
    'diff',
    '--cached',
    '--raw',
    '-z',
    '--no-abbrev',
    '--no-renames',
    '--no-ext-diff',
    '--diff-filter=ACMRT',
  ]
  for await (const part of parts(git(folder, args), '\0')) {
    if (part.startsWith(':')) ids = part.split(' ')
    else if (ids[3] !== undefined && ids[1] !== '160000') staged.push({ path: part, id: ids[3], oldId: ids[2] ?? '' })
  }
  return staged
}
