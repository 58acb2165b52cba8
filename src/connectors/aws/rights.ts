/**
 * Which users and roles can become more than they are: administer the account, act as a role, or make a login of somebody else. Worked out from all
 * policies together, since no single statement shows it.
 */
import { nextTurn } from '../../kernel/timer.ts'
import { grant, known, type NativeId, type Observation } from '../connector.ts'
import type { Account, Managed, Role, User } from './account.ts'
import type { Statement } from './document.ts'
import {
  allowed,
  both,
  decide,
  either,
  meets,
  NO,
  notDenied,
  resourcesOf,
  UNREAD,
  within,
  YES,
  type Answer,
  type Policies,
} from './evaluate.ts'
import { isLike } from './glob.ts'
import { PASSING } from './passing.ts'
import { accountId, idOf } from './things.ts'
import { isAssuming, isWholeAccount } from './trust.ts'

/** Pairs of who and what in one account; an account with more of them is told up to here, and said to be. */
const STEPS_MAX = 200_000
/** Of users and roles. */
const TURN = 5

type Subject = {
  readonly who: User | Role
  readonly policies: Policies
  readonly context: Readonly<Record<string, string>>
  /** Groups it is in, as far as they are there. */
  readonly groups: readonly string[]
  /** Policies of the account that it has, which somebody may rewrite. */
  readonly local: readonly Managed[]
}

type Step = {
  readonly on: NativeId
  readonly privilege: string
  readonly level: 'admin' | 'grant' | 'write' | 'impersonate'
  readonly answer: Answer
}

/** Roles by whom their trust policies name at all, so that not everybody is held against every role. */
type Believing = {
  readonly byName: ReadonlyMap<string, readonly Role[]>
  readonly byAccount: readonly Role[]
  readonly everybody: readonly Role[]
}
type Estate = { readonly account: Account; readonly number: string; readonly believing: Believing }

type Told = {
  readonly told: readonly Observation[]
  /** How many depend on the moment of use, and on what. */
  readonly open: { readonly count: number; readonly on: readonly string[] }
  /** Users and roles with a policy that was not understood, and roles whose trust policy was not. */
  readonly unread: number
  readonly isCut: boolean
}

export async function tellRights(account: Account, number: string, signal: AbortSignal): Promise<Told> {
  const told = new Map<string, Observation>()
  const on = new Set<string>()
  let count = 0
  let unread = account.roles.filter(({ trust }) => trust === undefined).length
  const ended = (isCut: boolean): Told => ({
    told: [...told.values()],
    open: { count, on: [...on].sort() },
    unread,
    isCut,
  })
  const estate: Estate = { account, number, believing: believingOf(account.roles, number) }
  for (const [at, who] of [...account.users, ...account.roles].entries()) {
    signal.throwIfAborted()
    // Thousands are worked out; nobody else waits for all of them.
    if (at % TURN === 0) await nextTurn()
    const { subject, isWhole } = understood(subjectOf(account, who, number))
    if (!isWhole) unread += 1
    for (const found of stepsOf(subject, estate)) {
      if (told.size >= STEPS_MAX) return ended(true)
      const step = isWhole ? found : { ...found, answer: both(found.answer, UNREAD) }
      const observation = tellStep(who, step)
      if (told.has(observation.id.id)) continue
      told.set(observation.id.id, observation)
      if (step.answer.is !== 'depends') continue
      count += 1
      for (const key of step.answer.on) on.add(key)
    }
  }
  return ended(false)
}

function believingOf(roles: readonly Role[], number: string): Believing {
  const byName = new Map<string, Role[]>()
  const [byAccount, everybody]: [Role[], Role[]] = [[], []]
  for (const role of roles) {
    for (const { isAllow, principals = {}, isNotPrincipal } of role.trust ?? []) {
      if (!isAllow) continue
      for (const name of isNotPrincipal ? ['*'] : (principals['AWS'] ?? [])) {
        if (name === '*') everybody.push(role)
        else if (isWholeAccount(name) && name.includes(number)) byAccount.push(role)
        else byName.set(name, [...(byName.get(name) ?? []), role])
      }
    }
  }
  return { byName, byAccount, everybody }
}

/** What its other policies let it do; what the one that was not understood adds cannot be listed, and it may take all of this away. */
function understood(subject: Subject): { readonly subject: Subject; readonly isWhole: boolean } {
  const { identity, boundary } = subject.policies
  const isRead = (statements: readonly Statement[] | undefined) => statements !== undefined
  const isWhole = identity.every(isRead) && (boundary?.every(isRead) ?? true)
  if (isWhole) return { subject, isWhole }
  const policies = { identity: identity.filter(isRead), boundary: boundary?.every(isRead) ? boundary : undefined }
  return { subject: { ...subject, policies }, isWhole }
}

/** What depends on the moment of use is told as something that may be tried, and lends nothing. */
function tellStep(who: User | Role, { on, privilege, level, answer }: Step) {
  const depends = answer.is === 'depends' ? answer.on : undefined
  return grant({
    id: { kind: 'effective-right', id: `${who.kind}/${who.id}/${privilege}/${on.kind}/${on.id}` },
    principal: idOf(who),
    on,
    privilege,
    level: depends ? 'use' : level,
    grantable: known(level === 'admin' || level === 'grant'),
    facts: { isEffective: true, ...(depends && { isConditional: true, dependsOn: [...depends] }) },
  })
}

function subjectOf(account: Account, who: User | Role, number: string): Subject {
  const groups = who.kind === 'user' ? account.groups.filter(({ name }) => who.groups.includes(name)) : []
  const holders = [who, ...groups]
  const attached = holders.flatMap((holder) => holder.attached)
  const statementsOf = (arn: string) => account.policies.get(arn)?.statements
  return {
    who,
    policies: {
      identity: [
        ...holders.flatMap(({ inline }) => inline.map(({ statements }) => statements)),
        ...attached.map(statementsOf),
      ],
      boundary: who.boundary === undefined ? undefined : [statementsOf(who.boundary)],
    },
    context: {
      'aws:principalarn': who.arn,
      'aws:principalaccount': number,
      'aws:principaltype': who.kind === 'user' ? 'User' : 'AssumedRole',
      ...(who.kind === 'user' && { 'aws:username': who.name, 'aws:userid': who.id }),
      ...Object.fromEntries(
        Object.entries(who.tags).map(([key, value]) => [`aws:principaltag/${key.toLowerCase()}`, value]),
      ),
    },
    groups: groups.map(({ arn }) => arn),
    local: attached.flatMap((arn) => account.policies.get(arn) ?? []).filter(({ arn }) => arn.includes(`::${number}:`)),
  }
}

/** Of who administers nothing further is told: it has everything anyway. */
function* stepsOf(subject: Subject, estate: Estate): Generator<Step, void> {
  const { account, number } = estate
  const here = accountId(number)
  if (isAdministrator(subject)) {
    yield { on: here, privilege: '*', level: 'admin', answer: YES }
    return
  }
  const grown = [...growing(subject)]
  for (const { action, answer } of grown) yield { on: here, privilege: action, level: 'grant', answer }
  if (grown.some(({ answer }) => answer.is === 'yes')) return
  yield* toOthers(subject, estate)
  if (subject.who.kind !== 'user' || !mayEver(subject, 'iam:AddUserToGroup')) return
  for (const group of account.groups) {
    const answer = subject.groups.includes(group.arn) ? NO : may(subject, 'iam:AddUserToGroup', group.arn)
    if (answer.is === 'no') continue
    yield { on: idOf(group), privilege: 'iam:AddUserToGroup', level: 'grant', answer }
    const as = { ...subject.who, groups: [...subject.who.groups, group.name] }
    const joined = understood(subjectOf(account, as, number))
    const certain = joined.isWhole ? answer : both(answer, UNREAD)
    for (const step of stepsWithin(joined.subject, estate, here))
      yield {
        ...step,
        privilege: `iam:AddUserToGroup (${group.name}) + ${step.privilege}`,
        answer: both(certain, step.answer),
      }
  }
}

function* stepsWithin(subject: Subject, estate: Estate, here: NativeId): Generator<Step, void> {
  if (isAdministrator(subject)) yield { on: here, privilege: '*', level: 'admin', answer: YES }
  else {
    for (const { action, answer } of growing(subject)) yield { on: here, privilege: action, level: 'grant', answer }
    yield* toOthers(subject, estate)
  }
}

/** Everything on everything, within its boundary, and nothing that keeps it from giving itself the rest. */
function isAdministrator({ policies, context }: Subject): boolean {
  const hasAll = (all: Policies['identity']) =>
    all.some((statements) =>
      statements?.some(
        ({ isAllow, actions, resources, conditions }) =>
          isAllow &&
          !actions.isBut &&
          actions.of.some((action) => /^\*(?::\*)?$/.test(action)) &&
          !resources.isBut &&
          resources.of.includes('*') &&
          conditions.length === 0,
      ),
    )
  if (!hasAll(policies.identity) || (policies.boundary && !hasAll(policies.boundary))) return false
  return decide(policies, { action: 'iam:AttachRolePolicy', resource: undefined, context }).is === 'yes'
}

/** Ways to give oneself any right. Within a boundary they lead nowhere, unless that can be taken away too. */
function* growing(subject: Subject): Generator<{ readonly action: string; readonly answer: Answer }, void> {
  const { who, groups, local } = subject
  const sort = who.kind === 'user' ? 'User' : 'Role'
  const ways: [string, readonly string[]][] = [
    [`iam:Attach${sort}Policy`, [who.arn]],
    [`iam:Put${sort}Policy`, [who.arn]],
    ['iam:AttachGroupPolicy', groups],
    ['iam:PutGroupPolicy', groups],
    ['iam:CreatePolicyVersion', local.map(({ arn }) => arn)],
  ]
  const found = ways.map(([action, arns]) => ({
    action,
    answer: mayEver(subject, action) ? arns.map((arn) => may(subject, action, arn)).reduce(either, NO) : NO,
  }))
  if (found.every(({ answer }) => answer.is === 'no')) return
  const freed = subject.policies.boundary
    ? either(
        may(subject, `iam:Delete${sort}PermissionsBoundary`, who.arn),
        may(subject, `iam:Put${sort}PermissionsBoundary`, who.arn),
      )
    : YES
  for (const { action, answer } of found) {
    const whole = both(answer, freed)
    if (whole.is !== 'no') yield { action, answer: whole }
  }
}

const LOGINS = ['iam:CreateAccessKey', 'iam:CreateLoginProfile', 'iam:UpdateLoginProfile']

/** Making a login of another user, acting as a role, or having something run as one. */
function* toOthers(subject: Subject, { account, believing }: Estate): Generator<Step, void> {
  for (const action of LOGINS) {
    for (const user of touched(subject, action, account.users)) {
      if (user.id === subject.who.id) continue
      const answer = may(subject, action, user.arn, user.tags)
      if (answer.is !== 'no') yield { on: idOf(user), privilege: action, level: 'write', answer }
    }
  }
  const named = [...(believing.byName.get(subject.who.arn) ?? []), ...believing.everybody]
  for (const role of new Set([...named, ...touched(subject, 'sts:AssumeRole', believing.byAccount)])) {
    const answer = role.id === subject.who.id ? NO : mayAssume(subject, role)
    if (answer.is !== 'no') yield { on: idOf(role), privilege: 'sts:AssumeRole', level: 'impersonate', answer }
  }
  for (const role of touched(subject, 'iam:UpdateAssumeRolePolicy', account.roles)) {
    if (role.id === subject.who.id) continue
    const answer = may(subject, 'iam:UpdateAssumeRolePolicy', role.arn, role.tags)
    if (answer.is !== 'no')
      yield { on: idOf(role), privilege: 'iam:UpdateAssumeRolePolicy', level: 'impersonate', answer }
  }
  const passing = mayEver(subject, 'iam:PassRole')
    ? PASSING.filter(({ needs }) => canRun(subject, needs).is !== 'no')
    : []
  for (const role of passing.length > 0 ? touched(subject, 'iam:PassRole', account.roles) : []) {
    if (role.id === subject.who.id) continue
    for (const way of passing) {
      const answer = mayPass(subject, role, way)
      const privilege = `iam:PassRole + ${way.needs[0]?.[0] ?? ''}`
      if (answer.is !== 'no') yield { on: idOf(role), privilege, level: 'impersonate', answer }
    }
  }
}

function may({ policies, context }: Subject, action: string, resource: string, tags: User['tags'] = {}): Answer {
  const tagged = Object.entries(tags).flatMap(([key, value]) => [
    [`aws:resourcetag/${key.toLowerCase()}`, value],
    [`iam:resourcetag/${key.toLowerCase()}`, value],
  ])
  return decide(policies, { action, resource, context: { ...context, ...Object.fromEntries(tagged) } })
}

/** Of these, what some permission of the subject names at all: the rest is not worth a look. */
function touched<T extends { readonly arn: string }>(
  { policies }: Subject,
  action: string,
  all: readonly T[],
): readonly T[] {
  const patterns = resourcesOf(policies.identity, action)
  if (patterns.some((pattern) => pattern === '*' || pattern.includes('${'))) return all
  const open = patterns.filter((pattern) => /[*?]/.test(pattern))
  const exact = new Set(patterns)
  return patterns.length === 0
    ? []
    : all.filter(({ arn }) => exact.has(arn) || open.some((pattern) => isLike(arn, pattern)))
}

/** Whether it is worth to look at each thing. */
function mayEver({ policies, context }: Subject, action: string): boolean {
  return decide(policies, { action, resource: undefined, context }).is !== 'no'
}

type Way = (typeof PASSING)[number]

/** Each of these steps, by any of the actions that do it. */
function canRun({ policies, context }: Subject, needs: Way['needs']): Answer {
  return needs
    .map((any) => any.map((action) => decide(policies, { action, resource: undefined, context })).reduce(either, NO))
    .reduce(both, YES)
}

function mayPass(subject: Subject, role: Role, { service, needs }: Way): Answer {
  // An instance takes a profile, and a role comes to it by one.
  if (service === 'ec2.amazonaws.com' && role.instanceProfiles.length === 0) return NO
  const believes = trustOf(
    role,
    { 'aws:sourceaccount': subject.context['aws:principalaccount'] ?? '' },
    ({ Service = [] }) => Service.some((name) => name === '*' || name.toLowerCase() === service),
  )
  if (believes.is === 'no') return NO
  const context = { ...subject.context, 'iam:passedtoservice': service }
  const passes = decide(subject.policies, { action: 'iam:PassRole', resource: role.arn, context })
  return [believes, passes, canRun(subject, needs)].reduce(both, YES)
}

/**
 * IAM User Guide, "Permissions boundaries" and "Policy evaluation logic": a trust policy that names a user or role itself is enough, and then a boundary
 * narrows roles only; one that names the account leaves it to the account's own policies.
 */
function mayAssume({ who, policies, context }: Subject, role: Role): Answer {
  const asked = { action: 'sts:AssumeRole', resource: role.arn, context }
  const number = context['aws:principalaccount']
  const named = trustOf(role, context, ({ AWS = [] }) => AWS.some((name) => name === who.arn || name === '*'))
  const byAccount = trustOf(role, context, ({ AWS = [] }) =>
    AWS.some((name) => isWholeAccount(name) && name.includes(`${number}`)),
  )
  const direct = who.kind === 'role' ? both(named, within(policies.boundary, asked)) : named
  const lent = both(byAccount, both(allowed(policies.identity, asked), within(policies.boundary, asked)))
  const all = [...policies.identity, ...(policies.boundary ?? [])]
  return both(notDenied(all, asked), either(direct, lent))
}

/** Whether a trust policy lets in those that `isWho` knows, by `AssumeRole` itself. */
function trustOf(
  { trust }: Role,
  context: Subject['context'],
  isWho: (principals: NonNullable<Statement['principals']>) => boolean,
): Answer {
  // Counted as not understood, instead of once for everybody.
  if (!trust) return NO
  const about = trust.filter(
    ({ actions, ...rest }) =>
      isAssuming({ actions, ...rest }) &&
      actions.of.some((pattern) => isLike('sts:assumerole', pattern)) !== actions.isBut,
  )
  const which = (isAllow: boolean) =>
    about
      .filter((one) => one.isAllow === isAllow && isWho(one.principals ?? {}) !== one.isNotPrincipal)
      .map(({ conditions }) => meets(conditions, context))
      .reduce(either, NO)
  const denied = which(false)
  if (denied.is === 'yes') return NO
  return both(which(true), denied.is === 'no' ? YES : denied)
}
