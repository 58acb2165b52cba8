import { passkeyRefused } from './refused.ts'
import type { AssertionResponse, RegistrationResponse } from './schemas.ts'
import type { Site } from './site.ts'

/** What is kept of a new credential. */
export type Registered = {
  readonly credentialId: Buffer
  readonly publicKey: Buffer
  readonly counter: number
  readonly aaguid: string
  readonly transports: readonly string[]
  readonly isBackupEligible: boolean
  readonly isBackedUp: boolean
}

/** What an assertion showed beside its signature. */
export type Asserted = { readonly counter: number; readonly isBackedUp: boolean }

/** A credential as an assertion is held to it. */
export type Held = Pick<Registered, 'credentialId' | 'publicKey' | 'counter' | 'isBackupEligible'>

/** ES256, EdDSA and RS256 (RFC 9053, RFC 8812): what authenticators have. */
export const ALGORITHMS = [-7, -8, -257]

/**
 * Holds what an authenticator made against the challenge it was given, this very site and a person who was verified (WebAuthn Level 3 §7.1).
 * Attestation is neither asked for nor believed. Throws `passkeyRefused`.
 */
export async function verifyRegistration(
  sent: RegistrationResponse,
  challenge: Buffer,
  site: Site,
): Promise<Registered> {
  refuseCrossOrigin(sent.response.clientDataJSON)
  const { verifyRegistrationResponse } = await library()
  const { registrationInfo } = await held(() =>
    verifyRegistrationResponse({
      response: {
        id: sent.id,
        rawId: sent.id,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: sent.response.clientDataJSON,
          attestationObject: sent.response.attestationObject,
        },
      },
      expectedChallenge: challenge.toString('base64url'),
      expectedOrigin: site.origin,
      expectedRPID: site.rpId,
      // Said below, in words of ours.
      requireUserVerification: false,
      supportedAlgorithmIDs: ALGORITHMS,
    }),
  )
  if (!registrationInfo) throw mismatch()
  holdVerified(registrationInfo.userVerified)
  const { credential, aaguid, credentialDeviceType, credentialBackedUp } = registrationInfo
  return {
    credentialId: Buffer.from(credential.id, 'base64url'),
    publicKey: Buffer.from(credential.publicKey),
    counter: credential.counter,
    aaguid,
    transports: sent.response.transports,
    isBackupEligible: credentialDeviceType === 'multiDevice',
    isBackedUp: credentialBackedUp,
  }
}

/** The same for what a known credential signed (§7.2). Throws `passkeyRefused`; a counter that does not go up is `copied`. */
export async function verifyAssertion(
  sent: AssertionResponse,
  challenge: Buffer,
  site: Site,
  known: Held,
): Promise<Asserted> {
  refuseCrossOrigin(sent.response.clientDataJSON)
  const { verifyAuthenticationResponse } = await library()
  const { authenticationInfo, verified } = await held(() =>
    verifyAuthenticationResponse({
      response: {
        id: sent.id,
        rawId: sent.id,
        type: 'public-key',
        clientExtensionResults: {},
        response: sent.response,
      },
      expectedChallenge: challenge.toString('base64url'),
      expectedOrigin: site.origin,
      expectedRPID: site.rpId,
      requireUserVerification: false,
      // The library’s check of the counter comes before that of the signature; ours after it, so that only the key itself makes an alarm.
      credential: { id: sent.id, publicKey: new Uint8Array(known.publicKey), counter: 0 },
    }),
  )
  if (!verified) throw mismatch()
  holdVerified(authenticationInfo.userVerified)
  const { newCounter, credentialBackedUp, credentialDeviceType } = authenticationInfo
  // §7.2: whether it may be copied is of the credential, and does not change.
  if ((credentialDeviceType === 'multiDevice') !== known.isBackupEligible) throw mismatch()
  if ((newCounter > 0 || known.counter > 0) && newCounter <= known.counter) {
    throw passkeyRefused('The passkey counted back, as a copy of it would. Ask security before you use it again.', {
      code: 'copied',
    })
  }
  return { counter: newCounter, isBackedUp: credentialBackedUp }
}

/** Loaded with the first passkey: who has none waits for nothing. */
function library() {
  return import('@simplewebauthn/server')
}

/** The library says by an error what it does not take. */
async function held<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify()
  } catch (error) {
    throw mismatch(error)
  }
}

function holdVerified(isVerified: boolean): void {
  if (isVerified) return
  throw passkeyRefused('The authenticator did not verify the person: use one that asks for a PIN or a finger.', {
    code: 'unverified',
  })
}

function mismatch(cause?: unknown) {
  return passkeyRefused('What the passkey signed is not what was asked for here.', { code: 'mismatch' }, { cause })
}

/** Of our own page in a frame of somebody else’s nobody knows what the person saw around it (§13.4.2). */
function refuseCrossOrigin(clientDataJson: string): void {
  try {
    const said: unknown = JSON.parse(Buffer.from(clientDataJson, 'base64url').toString('utf8'))
    const isFramed =
      typeof said !== 'object' ||
      said === null ||
      ('crossOrigin' in said && said.crossOrigin !== false) ||
      'topOrigin' in said
    if (!isFramed) return
  } catch (error) {
    throw mismatch(error)
  }
  throw mismatch()
}
