import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { sha256 } from '../kernel/crypto.ts'

/** The authority of what is read at places of this machine: a path means something on one machine only. */
export async function placeAuthority(connector: string, places: readonly string[]): Promise<string> {
  // machine-id(5): the id itself is not for others.
  const machine = await readFile('/etc/machine-id', 'utf8').catch(() => hostname())
  const basis = JSON.stringify([`reeve ${connector}`, machine.trim(), ...places])
  return `${connector}:${sha256(basis).toString('hex').slice(0, 32)}`
}
