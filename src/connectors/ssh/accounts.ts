import { known, unknown, type Observation, type Page, type ScopeReport } from '../connector.ts'
import { accountId, byName, groupId, HOST, type Account, type Group, type Host } from './host.ts'

const PAGE = 1_000
/** useradd(8) gives people ids from here on, unless login.defs says otherwise. */
const FIRST_OF_PEOPLE = 1_000

export function* pagesOf(observations: readonly Observation[]): Generator<Page, void> {
  for (let at = 0; at < observations.length; at += PAGE) yield { observations: observations.slice(at, at + PAGE) }
}

/** Accounts and groups of the host, who is in which group, and who is root whatever the name. */
export async function* readAccounts(host: Host): AsyncGenerator<Page, ScopeReport> {
  yield { observations: [hostItself(host)] }
  yield* pagesOf([...host.accounts.values()].flatMap((account) => tellAccount(account)))
  const named = byName(host)
  yield* pagesOf([...host.groups.values()].flatMap((group) => tellGroup(group, host, named)))
  const { strange, isCut } = host
  const missing = [
    ...(isCut ? [{ what: 'part of the accounts and groups', why: 'there are more than are read' }] : []),
    ...(strange > 0 ? [{ what: `${strange} lines of passwd and group`, why: 'they name no account or group' }] : []),
    ...(host.accounts.size === 0 ? [{ what: 'the accounts', why: 'the host names none' }] : []),
  ]
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

function hostItself({ settings, system }: Host): Observation {
  return {
    kind: 'resource',
    id: HOST,
    type: 'linux-host',
    name: settings.host,
    environment: unknown('unsupported'),
    sensitivity: unknown('unsupported'),
    facts: { system },
  }
}

function tellAccount({ uid, names, gid, comment, home, shell }: Account): Observation[] {
  const [name = uid, ...aliases] = names
  const isInteractive = !/\/(nologin|false|sync|shutdown|halt)$/.test(shell)
  const principal: Observation = {
    kind: 'principal',
    id: accountId(uid),
    type: 'account',
    name,
    aliases,
    // Whether it is locked stands in shadow, which is not read.
    state: unknown('not-collected'),
    createdAt: unknown('unsupported'),
    createdBy: unknown('unsupported'),
    interactive: known(isInteractive),
    environment: unknown('unsupported'),
    tags: comment === '' ? {} : { comment },
    facts: {
      uid: Number(uid),
      gid: Number(gid) || 0,
      home,
      shell,
      isRoot: uid === '0',
      isService: uid !== '0' && (Number(uid) < FIRST_OF_PEOPLE || uid === '65534'),
    },
  }
  if (uid !== '0') return [principal]
  const root: Observation = {
    kind: 'grant',
    id: { kind: 'attribute', id: 'root' },
    principal: accountId(uid),
    on: HOST,
    privilege: 'root',
    level: 'admin',
    grantable: known(true),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
  }
  return [principal, root]
}

function tellGroup({ gid, name, members }: Group, host: Host, named: ReturnType<typeof byName>): Observation[] {
  const group: Observation = {
    kind: 'principal',
    id: groupId(gid),
    type: 'group',
    name,
    state: known('active'),
    createdAt: unknown('unsupported'),
    createdBy: unknown('unsupported'),
    interactive: known(false),
    environment: unknown('unsupported'),
    facts: { gid: Number(gid) },
  }
  const primary = [...host.accounts.values()].filter((account) => account.gid === gid).map(({ uid }) => accountId(uid))
  const all = new Map([...members.map(named), ...primary].map((id) => [`${id.kind}/${id.id}`, id]))
  const memberships = [...all].map(([key, member]): Observation => ({
    kind: 'grant',
    id: { kind: 'membership', id: `${gid}/${key}` },
    principal: member,
    on: groupId(gid),
    privilege: 'MEMBER',
    level: 'use',
    grantable: known(false),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
  }))
  return [group, ...memberships]
}
