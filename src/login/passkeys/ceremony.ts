import { secondsAfter } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { newId } from '../../kernel/random.ts'
import type { PasskeyNeeds } from './needs.ts'
import { passkeyRefused } from './refused.ts'

type Kind = 'enrol' | 'add' | 'sign-in'

/** A challenge that one browser was given. */
export type Ceremony = { readonly id: string; readonly challenge: Buffer; readonly userHandle: Buffer | null }

/** As long as a person looks for a key and finds it. */
const CEREMONY_SECONDS = 300
const CHALLENGE_BYTES = 32

/** A fresh challenge, for one use on whichever node. */
export async function startCeremony(
  db: Db,
  needs: Pick<PasskeyNeeds, 'clock' | 'random'>,
  begun: {
    readonly kind: Kind
    readonly userHandle?: Buffer
    readonly identityId?: string | null
    readonly enrolmentId?: string
  },
): Promise<Ceremony> {
  const { kind, userHandle = null, identityId = null, enrolmentId = null } = begun
  const id = newId(needs.clock, needs.random)
  const challenge = needs.random.bytes(CHALLENGE_BYTES)
  const now = needs.clock.now()
  const expiresAt = secondsAfter(now, CEREMONY_SECONDS)
  // Nobody may come back to those.
  await db.deleteFrom('passkeyCeremony').where('expiresAt', '<', now).execute()
  await db
    .insertInto('passkeyCeremony')
    .values({ id, kind, challenge, userHandle, identityId, enrolmentId, createdAt: now, expiresAt, usedAt: null })
    .execute()
  return { id, challenge, userHandle }
}

/** What a browser comes back to. It is taken by this, whatever comes of it: a wrong answer has no second try. */
export async function takeCeremony(
  db: Db,
  needs: Pick<PasskeyNeeds, 'clock'>,
  taken: { readonly id: string; readonly kind: Kind },
): Promise<Ceremony & { readonly identityId: string | null; readonly enrolmentId: string | null }> {
  const now = needs.clock.now()
  const row = await db
    .updateTable('passkeyCeremony')
    .set({ usedAt: now })
    .where('id', '=', taken.id)
    .where('kind', '=', taken.kind)
    .where('usedAt', 'is', null)
    .where('expiresAt', '>', now)
    .returning(['id', 'challenge', 'userHandle', 'identityId', 'enrolmentId'])
    .executeTakeFirst()
  if (row) return row
  throw passkeyRefused('This was answered already, or took too long. Begin again.', { code: 'over' })
}
