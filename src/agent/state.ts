import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { Instant } from '../kernel/instant.ts'
import { Secret } from '../kernel/secret.ts'

const Kept = z.object({
  machine: z.string(),
  identity: z.string(),
  trustDomain: z.string(),
  token: z.string(),
  certificate: z.string(),
  privateKey: z.string(),
  bootId: z.string(),
  expiresAt: Instant,
})
type Kept = Omit<z.output<typeof Kept>, 'token' | 'privateKey'> & {
  readonly token: Secret
  readonly privateKey: Secret
}

const FILE = 'agent.json'

/** What the agent was admitted with, for its next start on the same boot. Keys and documents of workloads are never written down. */
export async function keep(folder: string, { token, privateKey, expiresAt, ...rest }: Kept): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(folder, 0o700)
  const path = join(folder, FILE)
  const secrets = { token: token.reveal(), privateKey: privateKey.reveal(), expiresAt: expiresAt.toISOString() }
  await writeFile(`${path}.new`, JSON.stringify({ ...rest, ...secrets }), { mode: 0o600, flush: true })
  await rename(`${path}.new`, path)
}

/** Undefined where there is nothing. Throws where others could have read it. */
export async function kept(folder: string): Promise<Kept | undefined> {
  const path = join(folder, FILE)
  try {
    const text = await readFile(path, 'utf8')
    if ((await stat(path)).mode & 0o077) throw new Error(`others may read ${path}: run chmod 600 on it`)
    const { token, privateKey, ...rest } = Kept.parse(JSON.parse(text))
    return { ...rest, token: new Secret(token), privateKey: new Secret(privateKey) }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
