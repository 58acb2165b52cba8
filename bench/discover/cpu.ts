import { readdirSync, readFileSync } from 'node:fs'

const TICKS_PER_SECOND = 100

/** CPU seconds so far of every process that this one began, those that ended among them: the database. Undefined where there is no `/proc`. */
export function childrenCpuSeconds(): number | undefined {
  const children = new Map<number, { pid: number; ticks: number }[]>()
  try {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      const found = statOf(Number(name))
      if (found) children.set(found.parent, [...(children.get(found.parent) ?? []), found])
    }
  } catch {
    return undefined
  }
  let ticks = 0
  const left = [process.pid]
  for (let pid = left.pop(); pid !== undefined; pid = left.pop()) {
    for (const child of children.get(pid) ?? []) {
      ticks += child.ticks
      left.push(child.pid)
    }
  }
  return ticks / TICKS_PER_SECOND
}

/** Its own time and that of its children that ended. Undefined for one that is gone. */
function statOf(pid: number) {
  try {
    // proc(5): the name may hold blanks, so fields are counted behind its bracket: ppid is the 2nd, utime, stime, cutime, cstime the 12th to 15th.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return {
      pid,
      parent: Number(fields[1]),
      ticks: fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0),
    }
  } catch {
    return undefined
  }
}
