import { unknown, type Observation, type Page, type ScopeReport } from '../connector.ts'
import { pagesOf } from './accounts.ts'
import { byName, type Host } from './host.ts'
import { linesOf } from './records.ts'
import { instantOf } from './times.ts'

export type Login = { readonly user: string; readonly at: Date; readonly address: string | undefined }

/** A line of `last -w --time-format iso`. Undefined for starts of the machine and for what is none. */
export function readLogin(line: string): Login | undefined {
  const parts = /^(\S+)\s+(.*?)\s(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:?\d\d)(?:\s|$)/.exec(line)
  const [, user = '', middle = '', time = ''] = parts ?? []
  const at = instantOf(time)
  if (!at || ['reboot', 'shutdown', 'runlevel', 'wtmp', 'btmp'].includes(user)) return undefined
  const from = middle.trim().split(/\s+/).slice(1).join(' ')
  return { user, at, address: /^[0-9a-fA-F.:]{2,45}$/.test(from) ? from : undefined }
}

const MISSING = {
  what: 'last logins',
  why: 'the host has no program last, or its wtmp cannot be read',
  permission: 'the program last, and reading /var/log/wtmp',
}

/** The last login of each account by hand. Logins without a terminal are not among them, so this proves use and never the want of it. */
export async function* readLogins(host: Host): AsyncGenerator<Page, ScopeReport> {
  const record = host.records.find(({ word }) => word === 'last')
  // One that ends well says at least since when it knows; another `last` than the one that was asked for says nothing.
  const lines = record ? linesOf(record, 0) : []
  if (lines.length === 0) return { status: 'unsupported', missing: [MISSING] }
  const latest = new Map<string, Login>()
  for (const line of lines) {
    const login = readLogin(line)
    const before = login && latest.get(login.user)
    if (login && (!before || login.at > before.at)) latest.set(login.user, login)
  }
  const named = byName(host)
  const uses = [...latest.values()].map(({ user, at, address }): Observation => ({
    kind: 'usage',
    subject: named(user),
    semantics: 'session',
    at,
    from: address === undefined ? {} : { address },
    actor: unknown('unsupported'),
  }))
  const begins = instantOf(/^\S+ begins (\S+)/.exec(lines.at(-1) ?? '')?.[1] ?? '')
  const window: Observation[] =
    begins && begins <= host.now
      ? [{ kind: 'usage-window', semantics: 'session', sees: 'samples', from: begins, to: host.now }]
      : []
  yield* pagesOf([...uses, ...window])
  return { status: 'complete', missing: [] }
}
