/**
 * Who is at the other end of a Unix socket, as the kernel says it. What the other side says of itself is never asked.
 *
 * The kernel remembers who connected by a process id, and ids are used again. So the process itself is held as well (a pidfd of the very process
 * that connected, where the kernel gives one), and when it started is compared at every look.
 */
import { closeSync } from 'node:fs'
import { createRequire } from 'node:module'
import type * as Koffi from 'koffi'

/** A process that connected. */
export type UnixPeer = Disposable & {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** Whether the process that connected is there still. `unknown` where the kernel gives no hold of it: then its start is all there is. */
  state(): 'alive' | 'gone' | 'unknown'
}

/** Reads the peer of a connected Unix socket by its file number. */
export type PeerReader = (fd: number) => UnixPeer

type Libc = {
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: Uint32Array): number
  poll(fds: Buffer, count: number, timeoutMs: number): number
}

// <asm-generic/socket.h>
const SOL_SOCKET = 1
const SO_PEERCRED = 17
/** Linux 6.5 and later. */
const SO_PEERPIDFD = 77
// <poll.h>: a pidfd is readable when its process has ended.
const POLLIN = 1
const POLLFD_BYTES = 8
const UCRED_BYTES = 12

/** Throws a sentence where this machine does not offer it. */
export function openPeerReader(): PeerReader {
  if (process.platform !== 'linux') throw new Error('Who connects to a Unix socket is asked of Linux only.')
  const libc = loadLibc()
  return (fd) => {
    const credentials = Buffer.alloc(UCRED_BYTES)
    const length = new Uint32Array([UCRED_BYTES])
    if (libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0 || length[0] !== UCRED_BYTES) {
      throw new Error('the kernel does not say who connected')
    }
    const pid = credentials.readInt32LE(0)
    // Of a process outside our own namespace of processes the kernel says 0.
    if (pid <= 0) throw new Error('who connected is not visible from here')
    const held = holdOf(libc, fd)
    return {
      pid,
      uid: credentials.readUInt32LE(4),
      gid: credentials.readUInt32LE(8),
      state: () => (held.fd === undefined ? 'unknown' : hasEnded(libc, held.fd) ? 'gone' : 'alive'),
      [Symbol.dispose]() {
        if (held.fd !== undefined) closeSync(held.fd)
        held.fd = undefined
      },
    }
  }
}

function holdOf(libc: Libc, fd: number): { fd: number | undefined } {
  const pidfd = Buffer.alloc(4)
  const isGiven = libc.getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, pidfd, new Uint32Array([4])) === 0
  return { fd: isGiven ? pidfd.readInt32LE(0) : undefined }
}

function hasEnded(libc: Libc, pidfd: number): boolean {
  const asked = Buffer.alloc(POLLFD_BYTES)
  asked.writeInt32LE(pidfd, 0)
  asked.writeInt16LE(POLLIN, 4)
  // An error is no proof of life.
  return libc.poll(asked, 1, 0) !== 0
}

function loadLibc(): Libc {
  try {
    const koffi: typeof Koffi = createRequire(import.meta.url)('koffi')
    // glibc by its usual name, else whatever the process itself is linked with (musl).
    const libc = loaded(koffi, 'libc.so.6') ?? loaded(koffi, null)
    if (!libc) throw new Error('there is no C library')
    const getsockopt = libc.func('int getsockopt(int, int, int, _Out_ uint8_t *, _Inout_ uint32_t *)')
    const poll = libc.func('int poll(_Inout_ uint8_t *, unsigned long, int)')
    return {
      getsockopt: (fd, level, name, value, length) => Number(getsockopt(fd, level, name, value, length)),
      poll: (fds, count, timeoutMs) => Number(poll(fds, count, timeoutMs)),
    }
  } catch (error) {
    throw new Error('The optional package koffi cannot be used here, so nobody can be told apart on a Unix socket.', {
      cause: error,
    })
  }
}

function loaded(koffi: typeof Koffi, name: string | null) {
  try {
    return koffi.load(name)
  } catch {
    return undefined
  }
}
