import { z } from 'zod'
import {
  Holes,
  credential,
  known,
  type Item,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { read, whenOf, type Bao } from './api.ts'
import { mountOf, mountsAt, type Mount } from './mounts.ts'
import { leavesOf } from './tokens.ts'
import { orMissing, tellEach } from './walk.ts'

const Metadata = z.object({
  created_time: z.string().nullish(),
  updated_time: z.string().nullish(),
  current_version: z.number().nullish(),
  custom_metadata: z.record(z.string(), z.string()).nullish(),
})

/** A secret at its path in an engine, by what the engine is and not by what it is called. */
export const storedSecret = (accessor: string, path: string): NativeId => ({
  kind: 'stored-secret',
  id: `${mountOf(accessor).id}/${path}`,
})

/** Secrets of key-value engines by name, age and custom metadata. Paths that give values are never asked. */
export async function* readSecrets(bao: Bao, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const items: Item[] = []
  const engines = (await mountsAt(bao, 'sys/mounts', signal)).filter(({ type }) => type === 'kv' || type === 'generic')
  for (const mount of engines) {
    const at = mount.path.replace(/\/$/, '')
    const hasVersions = mount.options?.['version'] === '2'
    const tree = { root: hasVersions ? `${at}/metadata` : at, capability: 'list' }
    const paths = await orMissing(bao, () => leavesOf(bao, tree, holes, signal), holes, signal)
    for (const path of paths) {
      const tell = async () => {
        const found = hasVersions ? await read(bao, `${tree.root}/${path}`, Metadata, signal) : {}
        return found ? [tellSecret(mount, path, found)] : []
      }
      items.push({ key: storedSecret(mount.accessor, path).id, tell })
    }
  }
  return yield* tellEach(bao, { items, holes }, since, signal)
}

function tellSecret(mount: Mount, path: string, found: z.output<typeof Metadata>): Observation {
  const tags = Object.entries(found.custom_metadata ?? {}).slice(0, 30)
  return credential({
    id: storedSecret(mount.accessor, path),
    type: 'stored-secret',
    name: `${mount.path}${path}`,
    createdAt: whenOf(found.created_time),
    rotatedAt: whenOf(found.updated_time),
    heldBy: known('vault'),
    facts: {
      version: found.current_version ?? null,
      ...Object.fromEntries(tags.map(([key, value]) => [`tag:${key}`.slice(0, 64), value])),
    },
  })
}
