import type { Tx } from '../../kernel/db.ts'
import { EgressFailed } from '../../kernel/egress.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { actOf } from '../../identities/identities.ts'
import {
  notRotatable,
  rotationOpen,
  type ConfigureRotation,
  type HandIn,
  type Rotation,
  type RotationWay,
} from './contract.ts'
import { rotationHandedIn, wayConfigured } from './events.ts'
import { keptLogin, sealNext } from './login.ts'
import type { RotationNeeds } from './needs.ts'
import { hasOpenRotation } from './plan.ts'
import { readRotation } from './reads.ts'
import { strategyOf } from './strategies/index.ts'
import { sealKey } from './way.ts'

const COLUMNS = [
  'id',
  'accountId',
  'strategy',
  'alternate',
  'soakSeconds',
  'hookUrl',
  'instructions',
  'ownerTeam',
  'deadlineDays',
] as const

/** What each way needs beside its name; what is given and not needed is refused, since whoever gave it believes that it counts. */
const NEEDED: Readonly<Partial<Record<Rotation['strategy'], readonly (keyof ConfigureRotation)[]>>> = {
  alternating: ['alternate'],
  'restart-hook': ['hookUrl', 'hookKey'],
  'by-hand': ['instructions', 'ownerTeam', 'deadlineDays'],
}
const EXTRAS = ['alternate', 'hookUrl', 'hookKey', 'instructions', 'ownerTeam', 'deadlineDays'] as const

/** Says how the login of an account gets another secret from now on. Not while one is on its way. */
export async function configureRotation(
  tx: Tx,
  needs: RotationNeeds,
  permit: Permit<'rotation.configure'>,
  input: ConfigureRotation,
): Promise<RotationWay> {
  const { id: accountId } = permit.resource
  const account = await tx
    .selectFrom('account')
    .innerJoin('target', 'target.id', 'account.targetId')
    .select(['account.targetId', 'account.name', 'account.mode', 'account.principal', 'target.protocol'])
    .where('account.id', '=', accountId)
    .forUpdate('account')
    .executeTakeFirstOrThrow()
  const { targetId } = account
  if (account.mode !== 'static') throw notRotatable('Reeve keeps no secret of this account.', { targetId })
  mustBePossible(needs, account, input)
  if (await hasOpenRotation(tx, { targetId, accountId })) {
    throw rotationOpen('A rotation of this login is under way; its way is changed afterwards.', { targetId })
  }
  const { strategy, alternate = null, soakSeconds, hookUrl = null, reason } = input
  if (account.principal !== null && account.principal !== account.name && account.principal !== alternate) {
    throw invalid('alternate', `the account stands for ${account.principal} now: let it take its turn back first`)
  }
  const facts = { targetId, strategy, alternate, soakSeconds, hookUrl, reason }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: wayConfigured, facts })
  const standing = await tx.selectFrom('rotationWay').select('id').where('accountId', '=', accountId).executeTakeFirst()
  const id = standing?.id ?? newId(needs.clock, needs.random)
  const { instructions = null, ownerTeam = null, deadlineDays = null, hookKey } = input
  const sealedKey = hookKey === undefined ? null : sealKey(needs, id, new Secret(hookKey))
  const set = { strategy, alternate, soakSeconds, hookUrl, sealedKey, instructions, ownerTeam, deadlineDays, cause }
  return tx
    .insertInto('rotationWay')
    .values({ id, accountId, ...set })
    .onConflict((row) => row.constraint('account_has_one_way').doUpdateSet(set))
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
}

function mustBePossible(
  needs: RotationNeeds,
  { name, protocol }: { readonly name: string; readonly protocol: string },
  input: ConfigureRotation,
): void {
  const strategy = strategyOf(input.strategy)
  if (!strategy) throw invalid('strategy', `this release does not rotate by ${input.strategy}`)
  const rotator = needs.rotators.find((each) => each.protocol === protocol)
  const why = rotator ? strategy.impossibleAt?.(rotator) : `logins of ${protocol} targets are not rotated`
  if (why !== undefined) throw invalid('strategy', why)
  const needed = NEEDED[input.strategy] ?? []
  for (const field of EXTRAS) {
    if (needed.includes(field) && input[field] === undefined) throw invalid(field, `${input.strategy} needs it`)
    if (!needed.includes(field) && input[field] !== undefined)
      throw invalid(field, `${input.strategy} has no use for it`)
  }
  if (input.alternate === name) throw invalid('alternate', 'a login does not take turns with itself')
  if (input.ownerTeam !== undefined && needs.hasTeam && !needs.hasTeam(input.ownerTeam)) {
    throw invalid('ownerTeam', 'there is no such team')
  }
  if (input.hookUrl === undefined) return
  if (!needs.egress) throw invalid('hookUrl', 'this node asks at no address')
  try {
    needs.egress.check(input.hookUrl)
  } catch (error) {
    if (error instanceof EgressFailed) throw invalid('hookUrl', error.message)
    throw error
  }
}

/** What a person set at the target by hand. It is sealed like any other, and believed once the target lets it in and refuses the old one. */
export async function handIn(
  tx: Tx,
  needs: RotationNeeds,
  permit: Permit<'rotation.hand-in'>,
  { password }: HandIn,
): Promise<Rotation> {
  const { id } = permit.resource
  const seen = await readRotation(tx, id)
  // In this order everywhere: first the login, then its rotation.
  const kept = await keptLogin(tx, needs, seen, 'lock')
  const row = await tx
    .selectFrom('rotation')
    .select(['state', 'strategy', 'generation'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  if (row.strategy !== 'by-hand' || row.state !== 'planned') {
    throw conflict('Nothing is to be handed in here now.', { type: 'Rotation', id, state: row.state })
  }
  if (kept?.secret.reveal() === password) throw invalid('password', 'this is the old secret')
  const facts = { principal: seen.principal }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: rotationHandedIn, facts })
  const sealedNext = sealNext(needs, id, new Secret(password))
  await tx
    .updateTable('rotation')
    .set({ sealedNext, generation: row.generation + 1, nextTryAt: needs.clock.now(), waitsFor: null, cause })
    .where('id', '=', id)
    .execute()
  return readRotation(tx, id)
}
