/** What a role of Azure lets do, and what a deny assignment takes of it ("Understand Azure role definitions", "… deny assignments"). */
export type Permission = {
  readonly actions: readonly string[]
  readonly notActions: readonly string[]
  readonly dataActions: readonly string[]
  readonly notDataActions: readonly string[]
}
export type Deny = {
  readonly name: string
  readonly scope: string
  readonly onlyThere: boolean
  readonly permissions: readonly Permission[]
  readonly principals: readonly string[]
  readonly isForAll: boolean
  readonly namesGroups: boolean
  readonly excluded: readonly string[]
  readonly excludesGroups: boolean
  readonly isConditional: boolean
}

/** Each of these gives its holder any right in the scope. */
const RULING = [
  'Microsoft.Authorization/roleAssignments/write',
  'Microsoft.Authorization/roleDefinitions/write',
  'Microsoft.Authorization/elevateAccess/action',
]

/** `*` stands for any text, and case counts for nothing. */
function fits(pattern: string, action: string): boolean {
  const parts = pattern.toLowerCase().split('*')
  const text = action.toLowerCase()
  const [first = '', ...rest] = parts
  if (rest.length === 0) return text === first
  if (!text.startsWith(first)) return false
  const last = rest.pop() ?? ''
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}

/** What is not given in one entry may be in another: NotActions takes away from its own entry alone. */
function lets(permissions: readonly Permission[], action: string): boolean {
  return permissions.some(
    ({ actions, notActions }) =>
      actions.some((each) => fits(each, action)) && !notActions.some((each) => fits(each, action)),
  )
}

/** `admin` gives rights, `write` changes something, `read` sees; by the wildcards of the role, without what is surely denied. */
export function levelOf(role: readonly Permission[], denied: readonly Deny[]): 'admin' | 'write' | 'read' | 'use' {
  const taken = (action: string) => denied.some(({ permissions }) => lets(permissions, action))
  if (RULING.some((action) => lets(role, action) && !taken(action))) return 'admin'
  // Of a pattern only one that is denied whole is gone; a part of it that stays is a way.
  const left = role.flatMap(({ actions, dataActions }) => [
    ...actions.filter((action) => !denied.some((deny) => takesWhole(deny, action, false))),
    ...dataActions.filter((action) => !denied.some((deny) => takesWhole(deny, action, true))),
  ])
  if (left.length === 0) return 'use'
  return left.some((action) => !/\/read$/i.test(action)) ? 'write' : 'read'
}

function takesWhole({ permissions }: Deny, pattern: string, isData: boolean): boolean {
  return permissions.some(({ actions, notActions, dataActions, notDataActions }) => {
    const [yes, no] = isData ? [dataActions, notDataActions] : [actions, notActions]
    return no.length === 0 && yes.some((each) => fits(each, pattern))
  })
}

type Held = { readonly principal: string; readonly isGroup: boolean; readonly scope: string }

/**
 * Whether a deny holds for what is held: `sure` where it names the holder or everybody, excludes nobody who could be them, and reaches all of the
 * scope; `maybe` where it could; `no` where it cannot.
 */
export function reaches(deny: Deny, { principal, isGroup, scope }: Held): 'sure' | 'maybe' | 'no' {
  const [at, of] = [clean(scope), clean(deny.scope)]
  const covers = at === of || at.startsWith(of === '/' ? '/' : `${of}/`)
  const isInside = of.startsWith(at === '/' ? '/' : `${at}/`)
  if (!covers && !isInside) return 'no'
  const who = principal.toLowerCase()
  if (deny.excluded.includes(who)) return 'no'
  const isNamed = deny.isForAll || deny.principals.includes(who)
  // Somebody who is not named may be in a group that is. In a group may be who is left out, and whoever is somebody may be in one that is.
  if (!isNamed && !isGroup && !deny.namesGroups) return 'no'
  const leavesOut = isGroup ? deny.excluded.length > 0 : deny.excludesGroups
  return isNamed && covers && !deny.onlyThere && !deny.isConditional && !leavesOut ? 'sure' : 'maybe'
}

export function clean(scope: string): string {
  return scope.toLowerCase().replace(/\/+$/, '') || '/'
}
