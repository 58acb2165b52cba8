import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Tx } from '../../kernel/db.ts'
import type { AskedCall } from '../../kernel/http/approval.ts'
import { STEP_UP_SECONDS, type StepUpLevel } from '../../kernel/step-up.ts'
import type { Random } from '../../kernel/random.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Identity } from '../../identities/contract.ts'
import { loadIdentity } from '../../identities/identities.ts'
import { stepUpAsked } from './events.ts'
import type { StepUpNeeds } from './needs.ts'
import { noPersonToAsk, stepUpNotOwed, tooManyStepUps } from './problems.ts'
import { findStepUp, placeOf, stepUpFrom } from './rows.ts'
import type { StepUp } from './schemas.ts'

const NONCE_BYTES = 32
/** Nobody has more acts waiting for them and still reads each. */
const MOST_OPEN = 10

/** Puts exactly one call before its person: the caller, or the sponsor of an agent. Nothing runs. */
export async function askStepUp(needs: StepUpNeeds, asked: AskedCall, changeId: string | null): Promise<StepUp> {
  const { caller, clientAddress } = asked.call
  const bind = await needs.bindCall(asked, changeId)
  return transact(needs.db, async (tx) => {
    const asker = await loadIdentity(tx, caller.id)
    if (!asker) throw new Error(`the identity ${caller.id} has no record`)
    const personId = personBehind(asker)
    const nonce = needs.random.bytes(NONCE_BYTES)
    const { level, ...bound } = await bind(tx, nonce)
    const operation = asked.route.operation.id
    if (level === 'none') throw stepUpNotOwed(`${operation} owes no step-up here: make the call alone.`, { operation })
    return openStepUp(tx, needs, {
      ...bound,
      kind: 'call',
      asker,
      personId,
      proofId: caller.proofId,
      operation,
      level,
      nonce,
      clientAddress,
      ttlSeconds: STEP_UP_SECONDS,
    })
  })
}

/** Whose fresh proof counts for what an identity does. Throws `noPersonToAsk`. */
function personBehind(asker: Pick<Identity, 'id' | 'kind' | 'name' | 'sponsorId'>): string {
  if (asker.kind === 'human') return asker.id
  if (asker.kind === 'agent' && asker.sponsorId !== null) return asker.sponsorId
  throw noPersonToAsk('A machine or a workload has no person who could step up: this gate stays shut for it.', {
    identity: asker.name,
  })
}

type Opening = {
  readonly kind: StepUp['kind']
  readonly asker: Pick<Identity, 'id' | 'kind'>
  readonly personId: string
  readonly proofId: string | null
  readonly operation: string
  readonly level: StepUpLevel
  readonly nonce: Buffer
  readonly actSha256: Buffer
  readonly innerSha256: Buffer | null
  readonly lines: readonly string[]
  readonly clientAddress: string
  readonly ttlSeconds: number
}

/** Stores what a person is asked for, with its entry. */
export async function openStepUp(
  tx: Tx,
  needs: Pick<StepUpNeeds, 'clock' | 'random' | 'ledger' | 'seal' | 'issuer'>,
  opening: Opening,
): Promise<StepUp> {
  const { asker, lines, ttlSeconds, ...row } = opening
  const now = needs.clock.now()
  await refuseMany(tx, asker.id, now)
  const id = newId(needs.clock, needs.random)
  const code = newCode(needs.random)
  const expiresAt = secondsAfter(now, ttlSeconds)
  const { kind, personId, operation, level, nonce, actSha256, innerSha256, clientAddress } = row
  const cause = await needs.ledger.record(tx, {
    event: stepUpAsked,
    actor: { id: asker.id, kind: asker.kind },
    action: operation,
    resource: { type: 'StepUp', id },
    outcome: 'announced',
    subjectId: personId,
    facts: {
      stepUpId: id,
      kind,
      personId,
      operation,
      level,
      clientAddress,
      expiresAt,
      actSha256: actSha256.toString('hex'),
      nonce: nonce.toString('hex'),
      innerSha256: innerSha256?.toString('hex') ?? null,
      lines: [...lines],
    },
  })
  await tx
    .insertInto('stepUp')
    .values({
      ...row,
      id,
      askerId: asker.id,
      shown: [...lines],
      sealedCode: needs.seal.seal(new Secret(code), placeOf(id)),
      createdAt: now,
      expiresAt,
      cause,
    })
    .execute()
  const made = await findStepUp(tx, id)
  if (!made) throw new Error('a step-up was not stored')
  return stepUpFrom(needs, made, code)
}

async function refuseMany(tx: Tx, askerId: string, now: Date): Promise<void> {
  const { count } = await tx
    .selectFrom('stepUp')
    .select((row) => row.fn.countAll<number>().as('count'))
    .where('askerId', '=', askerId)
    .where('state', '=', 'pending')
    .where('expiresAt', '>', now)
    .executeTakeFirstOrThrow()
  if (count < MOST_OPEN) return
  throw tooManyStepUps(`${count} step-ups wait already. Answer them, or let them end.`, { most: MOST_OPEN })
}

/** RFC 8628 §6.1: letters that are read out and typed without a mistake. 20^8 of them, five tries, five minutes. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'
const LENGTH = 8
/** The largest multiple of the number of letters in a byte: what is above would make some letters likelier. */
const FAIR = 240

function newCode(random: Random): string {
  let code = ''
  while (code.length < LENGTH) {
    for (const byte of random.bytes(LENGTH)) if (byte < FAIR) code += LETTERS[byte % LETTERS.length] ?? ''
  }
  return `${code.slice(0, LENGTH / 2)}-${code.slice(LENGTH / 2, LENGTH)}`
}
