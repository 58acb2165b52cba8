/** What the kernel tells of a process, in the words of selectors. Nothing is taken from the process itself. */
import { createReadStream, readFileSync } from 'node:fs'
import { readlink, stat } from 'node:fs/promises'
import { runningSha256 } from '../kernel/crypto.ts'

/** The file system of processes, and what stands for it in a test. */
export type Processes = {
  /** In ticks since boot: with the id it names one process for ever. Undefined for one that is not there. */
  startOf(pid: number): string | undefined
  /** Selectors of the program, unit and pod of a process; `withSha256`: that of the program's bytes as well. */
  selectorsOf(pid: number, withSha256: boolean): Promise<string[]>
  /** Its effective user now. */
  userOf(pid: number): number | undefined
}

/** The first part of the path that names a pod, under the kubelet's own groups: below it a container may make groups of any name. */
const POD =
  /^\/kubepods(?:\.slice)?\/(?:(?:kubepods-)?(?:besteffort|burstable)(?:\.slice)?\/)?(?:kubepods(?:-besteffort|-burstable)?-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?(?:\/|$)/
/** A program that is longer is not hashed: it fits no selector of that kind. */
const MOST_BYTES = 1_073_741_824
const MOST_HASHES = 1_000

export const systemProcesses: Processes = {
  startOf: (pid) => {
    // proc(5): the name in parentheses may hold anything, so fields are counted from its end. The 22nd is the start.
    const text = read(`/proc/${pid}/stat`)
    const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields?.[19]
  },
  userOf: (pid) => {
    const [, euid] = /^Uid:\s+\d+\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '') ?? []
    return euid === undefined ? undefined : Number(euid)
  },
  async selectorsOf(pid, withSha256) {
    return [...(await programOf(pid, withSha256)), ...unitsOf(read(`/proc/${pid}/cgroup`) ?? '')]
  },
}

/** Selectors of who runs it, with the names that this machine has for them. */
export function userSelectors(uid: number, gid: number): string[] {
  const user = nameIn('/etc/passwd', uid)
  const group = nameIn('/etc/group', gid)
  return [
    `unix:uid:${uid}`,
    `unix:gid:${gid}`,
    ...(user === undefined ? [] : [`unix:user:${user}`]),
    ...(group === undefined ? [] : [`unix:group:${group}`]),
  ]
}

/** `name:x:id:` of both files; the first line of an id names it. */
function nameIn(file: string, id: number): string | undefined {
  const line = (read(file) ?? '').split('\n').find((each) => each.split(':')[2] === String(id))
  return line?.split(':')[0]
}

/**
 * The program by its path, where that path still leads to the very file that runs: what was replaced, deleted, or lies in a file system of the
 * process's own has no path here. Its hash is of the bytes that run, wherever they lie.
 */
async function programOf(pid: number, withSha256: boolean): Promise<string[]> {
  const exe = `/proc/${pid}/exe`
  try {
    const [path, running] = await Promise.all([readlink(exe), stat(exe, { bigint: true })])
    const there = await stat(path, { bigint: true }).catch(() => undefined)
    const isThere = there?.dev === running.dev && there.ino === running.ino
    const hash = withSha256 && running.size <= MOST_BYTES ? await sha256Of(exe, running) : undefined
    return [...(isThere ? [`unix:path:${path}`] : []), ...(hash === undefined ? [] : [`unix:sha256:${hash}`])]
  } catch {
    // Of a process of the kernel, or one that has ended meanwhile: that is seen by its start.
    return []
  }
}

type Identity = {
  readonly dev: bigint
  readonly ino: bigint
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}
const hashes = new Map<string, string>()

async function sha256Of(path: string, { dev, ino, size, mtimeNs, ctimeNs }: Identity): Promise<string> {
  // Whoever writes the file moves ctime, which nobody can set.
  const key = [dev, ino, size, mtimeNs, ctimeNs].join(':')
  const known = hashes.get(key)
  if (known !== undefined) return known
  const hash = runningSha256()
  for await (const chunk of createReadStream(path)) if (Buffer.isBuffer(chunk)) hash.update(chunk)
  const hex = hash.digestSoFar().toString('hex')
  const after = await stat(path, { bigint: true })
  if (after.ino !== ino || after.ctimeNs !== ctimeNs) return sha256Of(path, after)
  if (hashes.size >= MOST_HASHES) hashes.clear()
  hashes.set(key, hex)
  return hex
}

/**
 * The unit of systemd and the pod of Kubernetes, by the control group (v2, or the named hierarchy of v1). A unit is the first part of the path
 * that is no slice: below it whoever owns the unit may make groups of any name, above it nobody but the manager.
 */
export function unitsOf(cgroups: string): string[] {
  const path = /^(?:0::|1:name=systemd:)(\/.*)$/m.exec(cgroups)?.[1]
  if (path === undefined) return []
  const unit = path
    .split('/')
    .slice(1)
    .find((part) => !part.endsWith('.slice'))
  const pod = POD.exec(path)?.[1]?.replaceAll('_', '-')
  const isUnit = unit !== undefined && /\.(service|scope)$/.test(unit) && !path.startsWith('/kubepods')
  return [...(isUnit ? [`systemd:unit:${unit}`] : []), ...(pod === undefined ? [] : [`k8s:pod-uid:${pod}`])]
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
