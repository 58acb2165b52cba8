import { z } from 'zod'
import { Holes, known, resource, Unreadable, type NativeId, type Page, type ScopeReport } from '../connector.ts'
import { read, type Bao } from './api.ts'
import { orMissing } from './walk.ts'

const Mount = z.object({
  accessor: z.string().min(1),
  uuid: z.string().optional(),
  type: z.string(),
  description: z.string().nullish(),
  local: z.boolean().optional(),
  options: z.record(z.string(), z.string()).nullish(),
  config: z
    .object({
      default_lease_ttl: z.number().optional(),
      max_lease_ttl: z.number().optional(),
      token_type: z.string().optional(),
    })
    .nullish(),
  running_plugin_version: z.string().nullish(),
})
export type Mount = z.output<typeof Mount> & { readonly path: string }

export const mountOf = (accessor: string): NativeId => ({ kind: 'mount', id: accessor })

/** Mounts by path, ending in `/`; an accessor outlives every other name of a mount. */
export async function mountsAt(bao: Bao, at: 'sys/mounts' | 'sys/auth', signal: AbortSignal): Promise<Mount[]> {
  const told = await read(bao, at, z.record(z.string(), Mount), signal)
  if (!told) throw new Unreadable('the server does not say what is mounted')
  return Object.entries(told).map(([path, mount]) => ({ ...mount, path }))
}

/** Secret engines and auth methods. */
export async function* readMounts(bao: Bao, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const at = (path: Parameters<typeof mountsAt>[1]) => orMissing(bao, () => mountsAt(bao, path, signal), holes, signal)
  const engines = await at('sys/mounts')
  const methods = (await at('sys/auth')).map((mount) => ({ ...mount, path: `auth/${mount.path}` }))
  const observations = [...engines, ...methods].map((mount) => {
    const isMethod = mount.path.startsWith('auth/')
    return resource({
      id: mountOf(mount.accessor),
      type: isMethod ? 'auth-method' : 'secret-engine',
      name: mount.path,
      // Who writes to these decides who is who, and what everybody may.
      ...((isMethod || mount.type === 'system' || mount.type === 'identity') && { sensitivity: known(0) }),
      facts: {
        engine: mount.type,
        description: mount.description ?? null,
        version: mount.options?.['version'] ?? null,
        maxLeaseSeconds: mount.config?.max_lease_ttl ?? null,
        tokenType: mount.config?.token_type ?? null,
        isLocal: mount.local ?? null,
      },
    })
  })
  yield { observations }
  const missing = holes.all()
  if (missing.length === 0) return { status: 'complete', missing }
  return { status: observations.length > 0 ? 'partial' : 'denied', missing }
}
