import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAuthority } from '../../src/kernel/ca.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { newKeyPair } from '../../src/kernel/key-pair.ts'
import { readPublicKey } from '../../src/kernel/crypto.ts'
import { systemRandom } from '../../src/kernel/random.ts'

/** A certificate with its key, and the one that issued it. PEM. */
export type Issued = { readonly key: string; readonly cert: string; readonly ca: string }

/** A server's certificate from an authority made for it alone. */
export async function issuedServer(name: string): Promise<Issued> {
  return withAuthority(async (authority) => {
    const { key, cert } = await authority.issueServer([name])
    return { key: key.reveal(), cert, ca: authority.certificate }
  })
}

/** A client's certificate from an authority made for it alone. */
export async function issuedClient(commonName: string): Promise<Issued> {
  return withAuthority(async (authority) => {
    const pair = await newKeyPair()
    const spki = readPublicKey(pair.publicKey)?.spki ?? Buffer.alloc(0)
    const { cert } = await authority.issueClient({ spki, commonName, ttlSeconds: 3600 })
    return { key: pair.privateKey.reveal(), cert, ca: authority.certificate }
  })
}

async function withAuthority(
  issue: (authority: Awaited<ReturnType<typeof openAuthority>>) => Promise<Issued>,
): Promise<Issued> {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-ca-'))
  try {
    return await issue(await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom }))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
