/** Logs that are read on from where the last reading ended, whole line by whole line. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { Unreadable } from './unreadable.ts'

const CHUNK_BYTES = 1024 * 1024
/** An event holds no more (the API server of Kubernetes cuts bodies at 1.5 MB by default); a batch of its webhook may hold many. */
const LINE_BYTES = 16 * 1024 * 1024

/** A log on the node's own disk, as it is: no link, no pipe. */
export async function openLog(path: string): Promise<FileHandle> {
  try {
    // A link could point anywhere by the time it is read; a device or a pipe would never end.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    if ((await file.stat()).isFile()) return file
    await file.close()
  } catch (error) {
    throw new Unreadable('the audit log cannot be read', { cause: error })
  }
  throw new Unreadable('the audit log is not a file')
}

/** Whole lines from a place on; `taken` is where the last of them ended. What has no end yet is read next time. */
export class LogLines {
  taken: number
  tooLong = 0

  constructor(from: number) {
    this.taken = from
  }

  async *of(file: FileHandle, signal: AbortSignal): AsyncGenerator<string, void> {
    let held: Buffer[] = []
    let size = 0
    let isSkipped = false
    for (let at = this.taken; ;) {
      signal.throwIfAborted()
      const buffer = Buffer.alloc(CHUNK_BYTES)
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at)
      if (bytesRead === 0) return
      at += bytesRead
      let from = 0
      for (let end = buffer.indexOf(0x0a); end >= 0 && end < bytesRead; end = buffer.indexOf(0x0a, from)) {
        const line = Buffer.concat([...held, buffer.subarray(from, end)])
        this.taken += line.length + 1 + (isSkipped ? size : 0)
        held = []
        size = 0
        from = end + 1
        if (isSkipped) isSkipped = false
        else if (line.length > 0) yield line.toString('utf8')
      }
      const rest = buffer.subarray(from, bytesRead)
      size += rest.length
      if (isSkipped) continue
      held.push(rest)
      if (size <= LINE_BYTES) continue
      this.tooLong += 1
      isSkipped = true
      held = []
    }
  }
}
