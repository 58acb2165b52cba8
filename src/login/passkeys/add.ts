import { sha256 } from '../../kernel/crypto.ts'
import { transact } from '../../kernel/db.ts'
import { identityResource, loadIdentity, subjectRef } from '../../identities/identities.ts'
import type { DecisionPoint } from '../../policy/policy.ts'
import { provePasskey, usePasskey } from './assert.ts'
import { takeCeremony } from './ceremony.ts'
import type { PasskeyNeeds } from './needs.ts'
import { passkeyRefused } from './refused.ts'
import { storePasskey } from './register.ts'
import type { AssertionResponse, Passkey, RegistrationResponse } from './schemas.ts'
import { siteOf } from './site.ts'
import { verifyRegistration } from './webauthn.ts'

type Adding = {
  readonly personId: string
  readonly ceremony: string
  readonly response: RegistrationResponse
  readonly label: string
  /** By a passkey they have, over `agreementTo` this one. */
  readonly agreement: AssertionResponse
}

/** What an older passkey signs for a newer one: exactly the credential that was made, in this ceremony. */
export function agreementTo(ceremony: string, attestationObject: string): Buffer {
  return sha256(`reeve passkey.add 1\n${ceremony}\n${sha256(attestationObject).toString('hex')}`)
}

/** A further passkey, agreed to by an older one of the same person (rule 14). The policies decide, with that as the fresh proof. */
export async function finishAdding(
  needs: PasskeyNeeds & { readonly decisions: DecisionPoint },
  adding: Adding,
): Promise<Passkey> {
  const { personId, ceremony, response, label } = adding
  const taken = await takeCeremony(needs.db, needs, { id: ceremony, kind: 'add' })
  if (taken.identityId !== personId) throw passkeyRefused('This was begun by somebody else.', { code: 'not-theirs' })
  const made = await verifyRegistration(response, taken.challenge, siteOf(needs.issuer()))
  const challenge = agreementTo(ceremony, response.response.attestationObject)
  const proven = await provePasskey(needs, adding.agreement, { challenge, of: personId })
  return transact(needs.db, async (tx) => {
    const person = await loadIdentity(tx, personId)
    if (!person) throw passkeyRefused('This person may not act now.', { code: 'unknown' })
    await needs.decisions.permit(
      tx,
      {
        subject: { ...subjectRef(person), proof: 'passkey' },
        action: 'passkey.add',
        resource: await identityResource(tx, person),
      },
      { stepUp: 'phishing-resistant' },
    )
    await usePasskey(tx, needs, proven)
    return storePasskey(tx, needs, { ...made, identityId: personId, label, provenById: proven.passkeyId })
  })
}
