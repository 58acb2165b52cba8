/** Where recordings are kept. Small on purpose: append and read by name is all that an object store needs to offer too. */
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export type RecordingStore = {
  /** A new recording; throws when the name is taken. */
  create(name: string): Promise<RecordingSink>
  /** The stored bytes from `offset` to the present end, or undefined when there is no such recording. */
  read(name: string, offset: number): Promise<AsyncIterable<Buffer> | undefined>
}

export type RecordingSink = AsyncDisposable & {
  /** Kept across a crash of this process when it resolves. */
  append(bytes: Uint8Array): Promise<void>
  /** Kept across a crash of the machine when it resolves. */
  sync(): Promise<void>
}

const READ_BYTES = 256 * 1024

/** Recordings as files that only this user may read, in a folder per month. */
export function folderStore(folder: string): RecordingStore {
  return {
    async create(name) {
      const path = join(folder, name)
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const file = await open(path, 'ax', 0o600)
      return {
        async append(bytes) {
          let at = 0
          // A write may be short when the disk fills; the next one then says so.
          while (at < bytes.length) at += (await file.write(bytes, at)).bytesWritten
        },
        sync: () => file.datasync(),
        [Symbol.asyncDispose]: () => file.close(),
      }
    },
    async read(name, offset) {
      const file = await open(join(folder, name), 'r').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      })
      return file && bytesOf(file, offset)
    },
  }
}

async function* bytesOf(file: Awaited<ReturnType<typeof open>>, offset: number): AsyncGenerator<Buffer> {
  try {
    for (let at = offset; ;) {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(READ_BYTES), position: at })
      if (bytesRead === 0) return
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

/** A recording's name: by month, so that old ones can be moved or removed by folder. */
export function recordingName(startedAt: Date, sessionId: string): string {
  return `${startedAt.toISOString().slice(0, 7)}/${sessionId}.ndjson.zst`
}
