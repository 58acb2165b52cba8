/** sudoers(5), as far as it says who may become whom. */
import { Denied, known, unknown, type NativeId, type Observation, type Page, type ScopeReport } from '../connector.ts'
import { pagesOf } from './accounts.ts'
import { byName, closedOf, groupId, HOST, needsRoot, type Host } from './host.ts'
import { isFull, linesOf, textOf } from './records.ts'
import { SUDOERS_BYTES } from './script.ts'

export const SUDOERS_MISSING = needsRoot('who may run what by sudo')

export type Rule = {
  readonly user: string
  readonly hosts: readonly string[]
  readonly runAs: string
  readonly tags: readonly string[]
  readonly command: string
}
export type Sudoers = {
  readonly rules: readonly Rule[]
  /** Names of further files that it takes in. */
  readonly includes: readonly string[]
  /** Lines that were not understood, or that say more than is kept. */
  readonly dark: number
}

const TAGS =
  /^(NOPASSWD|PASSWD|NOEXEC|EXEC|SETENV|NOSETENV|LOG_INPUT|NOLOG_INPUT|LOG_OUTPUT|NOLOG_OUTPUT|MAIL|NOMAIL|FOLLOW|NOFOLLOW|INTERCEPT|NOINTERCEPT):\s*/
/** Option_Spec of sudoers(5): under which conditions, never who. What follows one may be a command, a tag or another. */
const OPTION = /^(ROLE|TYPE|APPARMOR_PROFILE|PRIVS|LIMITPRIVS|NOTBEFORE|NOTAFTER|CWD|CHROOT|TIMEOUT)=("[^"]*"|\S*)\s*/
/** Digest_List before a command: it runs only while it is that file. */
const DIGEST = /^sha(?:224|256|384|512)\s*:\s*[A-Za-z0-9+/=]+\s*/
const ALIAS = /^(User|Cmnd|Host|Runas)_Alias\s+/
const MEMBERS_MAX = 1_000
/** Of all files together; aliases for both users and commands multiply. */
const RULES_MAX = 50_000
const LINE_MAX = 16_384

/** Reads all files together: an alias of one holds in every other. */
export function readSudoers(lines: readonly string[]): Sudoers {
  const whole = joined(lines)
  const aliases = new Map<string, readonly string[]>()
  for (const line of whole) {
    const kind = ALIAS.exec(line)
    if (!kind) continue
    for (const part of splitOn(line.slice(kind[0].length), ':')) {
      const at = part.indexOf('=')
      if (at > 0) aliases.set(`${kind[1]} ${part.slice(0, at).trim()}`, splitOn(part.slice(at + 1), ','))
    }
  }
  const rules: Rule[] = []
  const includes: string[] = []
  let dark = 0
  for (const line of whole) {
    const include = /^[@#]include(?:dir)?\s+(\S+)/.exec(line)?.[1]
    if (include !== undefined) includes.push(include)
    else if (!/^(#(?!\d)|Defaults|$)/.test(line) && !ALIAS.test(line)) {
      const told = ruleOf(line, aliases, RULES_MAX - rules.length)
      for (const rule of told ?? []) rules.push(rule)
      if (!told) dark += 1
    }
  }
  return { rules, includes, dark }
}

/** Lines that end in a backslash go on in the next; comments end a line, but `#0` is a uid and `#include` an order. */
function joined(lines: readonly string[]): string[] {
  const whole: string[] = []
  let open = ''
  for (const line of lines) {
    if (line.endsWith('\\')) {
      open += line.slice(0, -1)
      continue
    }
    const text = (open + line).trim()
    open = ''
    whole.push(text.startsWith('#') ? text : text.replace(/(^|\s)#(?!\d).*$/, '').trim())
  }
  return open === '' ? whole : [...whole, open.trim()]
}

/** `user list HOST list = (runas) TAG: command, command : HOST = …` */
function ruleOf(line: string, aliases: ReadonlyMap<string, readonly string[]>, most: number): Rule[] | undefined {
  if (line.length > LINE_MAX) return undefined
  const [head = '', ...specs] = splitOn(line, ':')
  const left = /^((?:"[^"]*"|\\.|[^\s"\\])+)\s+(.*)$/.exec(head.replaceAll(/\s*,\s*/g, ','))
  const users = left?.[1]
  if (left?.[2] === undefined || users === undefined) return undefined
  const rules: Rule[] = []
  for (const spec of merged([left[2], ...specs])) {
    const equals = spec.indexOf('=')
    if (equals < 0) return undefined
    const hosts = splitOn(spec.slice(0, equals), ',')
    let [runAs, tags]: [string, string[]] = ['root', []]
    for (const part of splitOn(spec.slice(equals + 1), ',')) {
      let rest = part
      const as = /^\(([^)]*)\)\s*/.exec(rest)
      if (as) {
        runAs = as[1] || 'the caller'
        rest = rest.slice(as[0].length)
      }
      for (let next = TAGS.exec(rest) ?? OPTION.exec(rest); next; next = TAGS.exec(rest) ?? OPTION.exec(rest)) {
        const name = next[1] ?? ''
        if (TAGS.test(rest))
          tags = [...tags.filter((each) => each !== `NO${name}` && `NO${each}` !== name && each !== name), name]
        rest = rest.slice(next[0].length)
      }
      const digest = DIGEST.exec(rest)?.[0] ?? ''
      rest = rest.slice(digest.length)
      // One of several: the command stands behind the last.
      if (digest !== '' && rest === '') continue
      for (const command of expanded('Cmnd', rest.trim(), aliases))
        for (const user of splitOn(users, ',').flatMap((each) => expanded('User', each, aliases)))
          if (rules.push({ user, hosts, runAs, tags, command }) > most) return undefined
    }
  }
  return rules
}

/** A colon also stands behind a tag: what it split there belongs together. */
function merged(parts: readonly string[]): string[] {
  const whole: string[] = []
  for (const part of parts) {
    const before = whole.at(-1)
    // A digest stands behind a colon, and may end in `=`.
    if (before !== undefined && /(^|[\s,=)])sha(224|256|384|512)$/.test(before))
      whole[whole.length - 1] = `${before}:${part}`
    else if (
      before !== undefined &&
      /(^|[\s,=)])[A-Z_]+$/.test(before) &&
      TAGS.test(`${before.split(/[\s,=)]/).at(-1)}:`)
    )
      whole[whole.length - 1] = `${before}: ${part}`
    // User and group to run as: `(root:adm)`.
    else if (before !== undefined && before.lastIndexOf('(') > before.lastIndexOf(')'))
      whole[whole.length - 1] = `${before}:${part}`
    else if (before !== undefined && !part.includes('=')) whole[whole.length - 1] = `${before}:${part}`
    else whole.push(part)
  }
  return whole
}

/** What a name stands for, each once: an alias that stands in many others is opened once, so that no nesting grows without bound. */
function expanded(kind: 'User' | 'Cmnd', name: string, aliases: ReadonlyMap<string, readonly string[]>): string[] {
  const found = new Set<string>()
  const opened = new Set<string>()
  const open = [name]
  for (let next = open.pop(); next !== undefined && found.size < MEMBERS_MAX; next = open.pop()) {
    const members = aliases.get(`${kind} ${next}`)
    if (!members) found.add(next)
    else if (!opened.has(next)) {
      opened.add(next)
      for (const member of members.toReversed()) open.push(member)
    }
  }
  return [...found]
}

/** Parts between separators that are neither quoted nor behind a backslash. */
function splitOn(text: string, separator: ',' | ':'): string[] {
  const parts: string[] = []
  let [from, isQuoted] = [0, false]
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '"') isQuoted = !isQuoted
    else if (text[at] === separator && !isQuoted) {
      parts.push(text.slice(from, at).trim())
      from = at + 1
    }
  }
  return [...parts, text.slice(from).trim()]
}

/** Grants by sudo. */
export async function* readSudo(host: Host): AsyncGenerator<Page, ScopeReport> {
  const files = host.records.filter(({ word }) => word === 'sudoers')
  const closed = closedOf(host, 'sudoers')
  if (files.length === 0 && closed.length === 0)
    return { status: 'unsupported', missing: [{ what: 'who may run what by sudo', why: 'there is no /etc/sudoers' }] }
  if (closed.length > 0 && !host.isRoot) throw new Denied(SUDOERS_MISSING)
  const { rules, includes, dark } = readSudoers(files.flatMap((file) => linesOf(file, 1)))
  yield* pagesOf(tellRules(rules, host))
  const read = new Set(files.map((file) => textOf(file, 0)))
  const others = includes.filter((path) => path !== '/etc/sudoers.d' && !read.has(path))
  const missing = [
    ...others.map((path) => ({ what: path, why: 'it is taken in by sudoers, and not one of its usual files' })),
    ...closed.map((path) => ({ what: path, why: 'it could not be read' })),
    ...files
      .filter((file) => isFull(file, 1, SUDOERS_BYTES))
      .map((file) => ({ what: textOf(file, 0), why: 'it is longer than what is read' })),
    ...(dark > 0 ? [{ what: `${dark} lines of sudoers`, why: 'they were not understood, or there are too many' }] : []),
  ]
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

export function tellRules(rules: readonly Rule[], host: Pick<Host, 'accounts' | 'groups'>): Observation[] {
  const holder = holderOf(host)
  const once = new Map<string, Observation>()
  for (const rule of rules) {
    // An exclusion takes away from what another rule gives; it gives nothing.
    if (rule.user.startsWith('!') || rule.command.startsWith('!')) continue
    const id = JSON.stringify([rule.user, rule.hosts, rule.runAs, rule.tags, rule.command])
    const isAll = rule.command === 'ALL'
    const becomesRoot = /^(ALL|root|#0)\b/.test(rule.runAs)
    // Words behind the program may be anything; which program it is, is what counts.
    const program = rule.command.split(/\s+/, 1)[0] ?? ''
    once.set(id, {
      kind: 'grant',
      id: { kind: 'sudo', id },
      principal: holder(rule.user),
      on: HOST,
      privilege: `sudo ${isAll ? 'ALL' : program}`,
      level: isAll ? (becomesRoot ? 'admin' : 'impersonate') : 'use',
      grantable: known(false),
      grantedBy: unknown('unsupported'),
      expiresAt: known('never'),
      facts: {
        runAs: rule.runAs,
        hosts: [...rule.hosts],
        isPasswordless: rule.tags.includes('NOPASSWD'),
        tags: [...rule.tags],
        takesArguments: rule.command.includes(' '),
      },
    })
  }
  return [...once.values()]
}

/** `%group`, `%#gid`, `#uid`, `ALL`, `+netgroup`, or a name. */
function holderOf(host: Pick<Host, 'accounts' | 'groups'>): (user: string) => NativeId {
  const named = byName(host)
  const gids = new Map([...host.groups.values()].map(({ name, gid }) => [name, gid]))
  return (user) => {
    const bare = user.replace(/^"(.*)"$/, '$1')
    if (bare === 'ALL') return { kind: 'everybody', id: 'everybody' }
    const byId = /^(%?)#(\d{1,10})$/.exec(bare)
    if (byId?.[2] !== undefined) return byId[1] === '%' ? groupId(byId[2]) : { kind: 'account', id: byId[2] }
    if (!bare.startsWith('%')) return named(bare)
    const gid = gids.get(bare.slice(1))
    return gid === undefined ? { kind: 'group-name', id: bare.slice(1) || '-' } : groupId(gid)
  }
}
