import { known, unknown, type NativeId, type Observation } from '../connector.ts'
import { role } from './session.ts'

/** One item of an access list, as `aclexplode` gives it (PostgreSQL, 9.29 System Catalog Information Functions). */
export type AclItem = {
  readonly grantor: number
  readonly grantee: number
  readonly privilege: string
  readonly grantable: boolean
}

/** The expression that gives an access list as JSON; with `byDefault`, what holds where none was ever written. */
export function aclJson(acl: string, byDefault?: { readonly kind: string; readonly owner: string }): string {
  const list = byDefault ? `coalesce(${acl}, acldefault('${byDefault.kind}', ${byDefault.owner}))` : acl
  return `(select coalesce(json_agg(json_build_object('grantor', a.grantor::bigint, 'grantee', a.grantee::bigint,
             'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]') from aclexplode(${list}) a)`
}

const LEVELS: Readonly<Record<string, 'use' | 'read' | 'write' | 'admin'>> = {
  SELECT: 'read',
  INSERT: 'write',
  UPDATE: 'write',
  DELETE: 'write',
  TRUNCATE: 'write',
  REFERENCES: 'write',
  TRIGGER: 'write',
  MAINTAIN: 'write',
  CREATE: 'write',
  USAGE: 'use',
  EXECUTE: 'use',
  CONNECT: 'use',
  TEMPORARY: 'use',
  SET: 'admin',
  'ALTER SYSTEM': 'admin',
}

type On = {
  readonly on: NativeId
  readonly owner?: number
  readonly facts?: Readonly<Record<string, string | boolean>>
}

/** The rights on one thing: its owner's and each of its access list. A right is the same one as long as who, what, on which and by whom are. */
export function grantsOn({ on, owner, facts = {} }: On, acl: readonly AclItem[]): Observation[] {
  const own = owner === undefined ? [] : [ownership(on, owner)]
  return [...own, ...acl.map((item) => grantOf(on, item, facts))]
}

function ownership(on: NativeId, owner: number): Observation {
  return {
    kind: 'grant',
    id: { kind: 'ownership', id: `${on.kind}/${on.id}/${owner}` },
    principal: role(owner),
    on,
    privilege: 'OWNER',
    level: 'admin',
    grantable: known(true),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
  }
}

function grantOf(on: NativeId, item: AclItem, facts: Readonly<Record<string, string | boolean>>): Observation {
  const { grantor, grantee, privilege, grantable } = item
  const mark = Object.values(facts).join('/')
  return {
    kind: 'grant',
    id: { kind: 'privilege', id: `${on.kind}/${on.id}/${mark}/${privilege}/${grantee}/${grantor}` },
    principal: role(grantee),
    on,
    privilege,
    level: LEVELS[privilege] ?? 'use',
    grantable: known(grantable),
    grantedBy: known(role(grantor)),
    expiresAt: known('never'),
    facts: { ...facts },
  }
}
