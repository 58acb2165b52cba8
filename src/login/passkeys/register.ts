import { sha256 } from '../../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { conflict } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { translating } from '../../kernel/violation.ts'
import { keyNeeded } from '../../identities/contract.ts'
import { openEnrolment, spendEnrolment } from '../../identities/identities.ts'
import { startCeremony, takeCeremony } from './ceremony.ts'
import { passkeyRegistered } from './events.ts'
import type { PasskeyNeeds } from './needs.ts'
import { passkeyRefused } from './refused.ts'
import type { Passkey, RegistrationResponse } from './schemas.ts'
import { siteOf } from './site.ts'
import { ALGORITHMS, verifyRegistration, type Registered } from './webauthn.ts'

export const PASSKEY_COLUMNS = [
  'id',
  'identityId',
  'label',
  'aaguid',
  'isBackupEligible',
  'isBackedUp',
  'createdAt',
  'usedAt',
  'removedAt',
] as const

/** What a browser needs to make a passkey: `PublicKeyCredentialCreationOptionsJSON` (WebAuthn Level 3 §5.1). */
export type CreationOptions = { readonly ceremony: string; readonly options: Readonly<Record<string, unknown>> }

type Link = { readonly secret: string; readonly name?: string | undefined; readonly displayName?: string | undefined }

/** As long as the ceremony lasts. */
const TIMEOUT_MS = 300_000
const HANDLE_BYTES = 32

/** The first passkey of a person begins with a one-time link. Throws `enrolmentInvalid` or `keyNeeded`. */
export function beginEnrolment(needs: PasskeyNeeds, link: Link): Promise<CreationOptions> {
  return transact(needs.db, async (tx) => {
    const { link: found, holder } = await personBehind(tx, needs, link)
    const identityId = found.identityId
    const userHandle = handleOf(needs, identityId)
    const ceremony = await startCeremony(tx, needs, { kind: 'enrol', userHandle, identityId, enrolmentId: found.id })
    return optionsOf(tx, needs, { ...ceremony, userHandle, identityId, name: holder.name })
  })
}

/** Spends the link on the passkey that was made; its holder begins to act, or is the founder. */
export async function finishEnrolment(
  needs: PasskeyNeeds,
  link: Link & { readonly ceremony: string; readonly response: RegistrationResponse; readonly label: string },
): Promise<Passkey> {
  const taken = await takeCeremony(needs.db, needs, { id: link.ceremony, kind: 'enrol' })
  const made = await verifyRegistration(link.response, taken.challenge, siteOf(needs.issuer()))
  return transact(needs.db, async (tx) => {
    const open = await personBehind(tx, needs, link)
    if (open.link.id !== taken.enrolmentId) {
      throw passkeyRefused('The passkey was made for another link. Begin again.', { code: 'mismatch' })
    }
    await spendEnrolment(tx, needs, { ...open, becameA: 'passkey' })
    const { label } = link
    return storePasskey(tx, needs, { ...made, identityId: open.holder.id, label, enrolmentId: open.link.id })
  })
}

/**
 * A link that somebody made for themselves leads to no more than they had: a passkey steps up, so whoever copied a bearer token must not come to
 * one, and whoever has a passkey adds the next one with it (rule 14).
 */
async function personBehind(tx: Tx, needs: PasskeyNeeds, link: Link) {
  const open = await openEnrolment(tx, needs, link)
  if (open.holder.kind !== 'human') {
    throw passkeyRefused('A passkey is a person’s. Enrol this identity by: reeve enrol', { code: 'not-theirs' })
  }
  if (!open.link.isOwn) return open
  if (!open.link.needsKey) {
    throw keyNeeded(
      'You made this link with a token that is bound to no key. Ask an administrator for one; security approves it.',
      { identityId: open.holder.id },
    )
  }
  if ((await passkeysOf(tx, open.holder.id)).length > 0) {
    throw keyNeeded('You have a passkey: sign in with it, and add another one there.', { identityId: open.holder.id })
  }
  return open
}

/** A further passkey of somebody who is signed in. Nothing is stored before an older one agreed to it. */
export async function beginAdding(
  needs: PasskeyNeeds,
  person: { readonly id: string; readonly name: string },
): Promise<CreationOptions> {
  const userHandle = handleOf(needs, person.id)
  const ceremony = await startCeremony(needs.db, needs, { kind: 'add', userHandle, identityId: person.id })
  return optionsOf(needs.db, needs, { ...ceremony, userHandle, identityId: person.id, name: person.name })
}

/** Throws `conflict` for a credential that is somebody’s already. */
export async function storePasskey(
  tx: Tx,
  needs: PasskeyNeeds,
  stored: Registered & {
    readonly identityId: string
    readonly label: string
    readonly enrolmentId?: string
    readonly provenById?: string
  },
): Promise<Passkey> {
  const { identityId, label, enrolmentId = null, provenById = null, transports, ...made } = stored
  const id = newId(needs.clock, needs.random)
  const { aaguid, isBackupEligible, isBackedUp } = made
  const cause = await needs.ledger.record(tx, {
    event: passkeyRegistered,
    actor: { id: identityId, kind: 'human' },
    action: 'passkey.register',
    resource: { type: 'Identity', id: identityId },
    outcome: 'done',
    facts: {
      passkeyId: id,
      credentialIdSha256: sha256(made.credentialId).toString('hex'),
      publicKeySha256: sha256(made.publicKey).toString('hex'),
      aaguid,
      isBackupEligible,
      isBackedUp,
      label,
      enrolmentId,
      provenById,
    },
  })
  const row = { ...made, id, identityId, label, transports: [...transports] }
  const meanings = {
    credential_is_unique: (error: unknown) =>
      conflict('This passkey is registered already.', { type: 'Passkey', id, state: 'active' }, { cause: error }),
  }
  return translating(meanings, () =>
    tx
      .insertInto('passkey')
      .values({ ...row, createdAt: needs.clock.now(), usedAt: null, removedAt: null, cause })
      .returning(PASSKEY_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
}

/** The passkeys of a person that prove something, the oldest first. */
export function passkeysOf(db: Db, identityId: string) {
  return db
    .selectFrom('passkey')
    .select(['id', 'credentialId', 'transports'])
    .where('identityId', '=', identityId)
    .where('removedAt', 'is', null)
    .orderBy('id')
    .execute()
}

/** One handle for a person, which says nothing about them (WebAuthn Level 3 §14.6.1); a founder has no id yet. */
function handleOf(needs: PasskeyNeeds, identityId: string | null): Buffer {
  return identityId === null ? needs.random.bytes(HANDLE_BYTES) : sha256(`user handle ${identityId}`)
}

async function optionsOf(
  db: Db,
  needs: PasskeyNeeds,
  begun: {
    readonly id: string
    readonly challenge: Buffer
    readonly userHandle: Buffer
    readonly identityId: string | null
    readonly name: string
  },
): Promise<CreationOptions> {
  const { rpId } = siteOf(needs.issuer())
  const held = begun.identityId === null ? [] : await passkeysOf(db, begun.identityId)
  return {
    ceremony: begun.id,
    options: {
      rp: { id: rpId, name: 'Reeve' },
      user: { id: begun.userHandle.toString('base64url'), name: begun.name, displayName: begun.name },
      challenge: begun.challenge.toString('base64url'),
      pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
      timeout: TIMEOUT_MS,
      // One authenticator holds one passkey of a person.
      excludeCredentials: held.map(descriptorOf),
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
      attestation: 'none',
    },
  }
}

/** A passkey as a browser looks for it. */
export function descriptorOf({ credentialId, transports }: Awaited<ReturnType<typeof passkeysOf>>[number]) {
  return { type: 'public-key', id: credentialId.toString('base64url'), transports }
}
