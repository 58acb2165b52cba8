/**
 * The token service: who proves an identity, by a key of its own or by what a trusted issuer says, gets a short access token of it.
 *
 * A trust rule names one issuer, audience, subject and claims, and one registered identity; nothing is believed by a pattern. A token is signed
 * (RFC 9068), so that others can verify it, and kept as its hash, so that here its row decides and its end is immediate. It is bound to a key
 * unless its rule and tier allow otherwise; it may be narrowed, and be for a person through a chain of delegations; it ends with its identity,
 * its rule, the person, and the token it was exchanged for. No exchange makes a proof stronger, a life longer or a right wider.
 */
export { answering } from './answering.ts'
export { backchannelDoor } from './ciba.ts'
export { CHALLENGE, makeCode, type CodeKey } from './code.ts'
export { holdAct, holdOperation } from './details.ts'
export { decideDevice, deviceByCode, deviceDoor, VERIFICATION_PATH, type WaitingDevice } from './device.ts'
export { DPOP_ALGORITHMS, verifyDpop } from './dpop.ts'
export { endTokensOf } from './ended.ts'
export { tokenDoor } from './endpoint.ts'
export { verifyIssued } from './foreign.ts'
export { introspectionDoor, revocationDoor } from './inspect.ts'
export { openIssuerKeys } from './issuer-keys.ts'
export { openMint } from './jwt.ts'
export { openKeyRing } from './key-ring.ts'
export { AUTHORIZATION_PATH, END_SESSION_PATH, PUSHED_PATH, RESOURCE_PATH, tokenDocuments } from './metadata.ts'
export type { PublicClient, TokenNeeds } from './needs.ts'
export { OAuthError } from './oauth-error.ts'
export { COMMAND_LINE, publicClientOf } from './public-client.ts'
export { tellAnswered } from './notices.ts'
export { tokenRoutes } from './routes.ts'
export { trustRulesAtHand } from './rules-at-hand.ts'
export { pruneProofs, takeProof, takeProofQuickly } from './used-proofs.ts'
