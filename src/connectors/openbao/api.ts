/** The API of OpenBao and Vault as a reader asks it: things, lists of names, and what stands behind an accessor. */
import { z } from 'zod'
import { Instant } from '../../kernel/instant.ts'
import type { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  Faltering,
  jsonOf,
  known,
  parsed,
  unknown,
  Unreadable,
  type Known,
  type Missing,
  type SourceHttp,
} from '../connector.ts'
import type { OpenBaoSourceSettings } from './settings.ts'

export type Bao = {
  readonly http: SourceHttp
  readonly token: Secret
  readonly settings: OpenBaoSourceSettings
}

/** A list comes in one answer: names of some hundred thousand things. */
const LIST_BYTES = 32 * 1024 * 1024
const ANSWER_BYTES = 4 * 1024 * 1024
/** More names than any list of one server has. */
const KEYS_MAX = 500_000

/** A list of nothing is a 404, or a warning in the place of the names. */
const Keys = z.union([
  z.object({ data: z.object({ keys: z.array(z.string()) }) }),
  z
    .object({ data: z.object({ keys: z.undefined() }).nullish(), warnings: z.array(z.string()).min(1) })
    .transform(() => ({ data: { keys: [] as string[] } })),
])
const Data = z.object({ data: z.record(z.string(), z.unknown()) })

/** What is there, or undefined where there is nothing. */
export async function read<T>(
  bao: Bao,
  path: string,
  shape: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const told = await ask(bao, { path, capability: 'read' }, signal)
  return told === undefined ? undefined : parsed(shape, parsed(Data, told).data)
}

/** Names under a path, in order, each once. Folders end in `/`. */
export async function list(bao: Bao, path: string, signal: AbortSignal, capability = 'list'): Promise<string[]> {
  const told = await ask(bao, { path, query: 'list=true', capability, maxBytes: LIST_BYTES }, signal)
  const keys = told === undefined ? [] : parsed(Keys, told).data.keys
  if (keys.length > KEYS_MAX) throw new Unreadable('the server lists more names than any server has')
  return [...new Set(keys)].sort()
}

/** What an accessor or a lease stands for. These are questions that the API takes by POST; nothing is changed by them. */
export async function lookUp<T>(
  bao: Bao,
  { path, body, shape }: { readonly path: string; readonly body: object; readonly shape: z.ZodType<T> },
  signal: AbortSignal,
): Promise<T | undefined> {
  const told = await ask(bao, { path, body, capability: 'update' }, signal)
  return told === undefined ? undefined : parsed(shape, parsed(Data, told).data)
}

type Ask = {
  readonly path: string
  readonly query?: string
  readonly body?: object
  readonly capability: string
  readonly maxBytes?: number
}

async function ask(bao: Bao, { path, query, body, capability, maxBytes }: Ask, signal: AbortSignal): Promise<unknown> {
  const { status, body: told } = await bao.http(
    {
      path: `/v1/${pathOf(path)}${query === undefined ? '' : `?${query}`}`,
      headers: headersOf(bao),
      maxBytes: maxBytes ?? ANSWER_BYTES,
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
      ...caOf(bao),
    },
    signal,
  )
  if (status === 403) throw new Denied(missingOf(path, capability))
  // An accessor or lease that ended since it was listed is a 400, a 404 or nothing at all; what is not there is a 404.
  if (status === 204 && body !== undefined) return undefined
  if ((status === 404 || (status === 400 && body !== undefined)) && saysAbsent(told)) return undefined
  if (status !== 200) throw new Faltering(`the server answered ${status}`)
  return jsonOf(told)
}

const Refusal = z.object({ errors: z.array(z.string()) })

/**
 * Whether it is the server's own word that something is not there: its form of an error, which names none where a list is empty. A path that no mount
 * serves is another thing (`no handler for route`): whoever asks in a namespace that is gone, or through a gateway, is shown nothing of the server.
 */
function saysAbsent(told: Buffer): boolean {
  const { data } = Refusal.safeParse(jsonOf(told))
  return data !== undefined && !data.errors.some((error) => error.includes('no handler for route'))
}

export function missingOf(path: string, capability: string): Missing {
  return {
    what: path,
    why: 'the token may not read it',
    permission: `path "${path}" { capabilities = ["${capability.replace(', ', '", "')}"] }`,
  }
}

export function headersOf({ token, settings }: Bao) {
  return {
    'x-vault-token': token,
    'x-vault-request': 'true',
    ...(settings.namespace !== undefined && { 'x-vault-namespace': settings.namespace }),
  }
}

export function caOf({ settings }: Bao) {
  return settings.authorities === undefined ? {} : { ca: settings.authorities }
}

/** Names are the source's: one of `..` would be another path. */
function pathOf(path: string): string {
  const segments = path.split('/')
  if (segments.some((segment) => segment === '.' || segment === '..')) throw new NoPath()
  return segments.map(encodeURIComponent).join('/')
}

/** A name under which nothing can be asked for. */
export class NoPath extends Error {
  override readonly name = 'NoPath'
}

/** Written in Go: year 1 is never. */
export function instantOf(text: string | null | undefined): Date | undefined {
  const at = typeof text === 'string' ? Instant.safeDecode(text).data : undefined
  return at && at.getTime() > 0 ? at : undefined
}

/** When something ends: null and Go's year 1 are never, what cannot be read is not known. */
export function endOf(text: string | null | undefined): Known<Date | 'never'> {
  if (text === null || text?.startsWith('0001-')) return known('never')
  const end = instantOf(text)
  return end ? known(end) : unknown(text === undefined ? 'unsupported' : 'failed')
}

export function whenOf(text: string | null | undefined): Known<Date> {
  const at = instantOf(text)
  return at ? known(at) : unknown('unsupported')
}
