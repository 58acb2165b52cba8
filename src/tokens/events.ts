import { z } from 'zod'
import { AccessDetails, Reason } from '../identities/contract.ts'
import { event, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { Expected, Preset } from './schemas.ts'

const Text = shown(z.string())
const Texts = shown(z.array(z.string()))
const Ids = shown(z.array(z.uuid()))

export const trustRuleCreated = event('trust-rule.created', 'A rule lets an issuer prove an identity.', {
  ruleId: Id,
  name: Slug,
  preset: Preset,
  issuer: Text,
  audience: Text,
  subject: Expected,
  claims: shown(z.array(z.object({ claim: z.string(), value: Expected }))),
  keysUrl: Text.nullable(),
  notifyUrl: Text.nullable(),
  kids: Texts.describe('thumbprints of the keys that were given with it'),
  isReviewed: shown(z.boolean()),
  isBound: shown(z.boolean()),
  ttlSeconds: shown(z.int()),
})
export const trustRuleRetired = event('trust-rule.retired', 'A rule ended, with the tokens under it.', {
  identityId: Id,
  tokenIds: Ids,
  reason: Reason,
})
export const backchannelRedeemed = event(
  'backchannel.redeemed',
  'What a person agreed to on another device became a token.',
  {
    stepUpId: Id,
    tokenId: Id,
    personId: Id,
    actSha256: Text,
  },
)
export const accessTokenIssued = event('access-token.issued', 'The token service issued an access token.', {
  tokenId: Id,
  grantType: Text,
  ruleId: Id.nullable(),
  parentId: Id.nullable().describe('the token it was exchanged for'),
  actorIds: Ids.describe('who acted before in the chain of delegations'),
  shownJti: Text.nullable().describe('of the token or assertion that was shown'),
  audience: Text,
  proof: Text,
  keySha256: Text.nullable().describe('of the key it is bound to'),
  details: AccessDetails.nullable(),
  loginSessionId: Id.nullable().describe('the login it was given for'),
  txn: Text,
  expiresAt: Instant,
})
export const accessTokenRefused = event(
  'access-token.refused',
  'The token service refused somebody who had proven an identity.',
  { grantType: Text, ruleId: Id.nullable(), error: Text, shownJti: Text.nullable() },
)
export const accessTokensEnded = event('access-token.ended', 'Access tokens ended before their time.', {
  tokenIds: Ids,
  why: shown(z.enum(['revoked', 'identity-ended', 'code-replayed'])),
})
export const signingKeyMade = event('signing-key.made', 'A key was published that will sign access tokens.', {
  kid: Text,
  algorithm: Text,
  heldIn: Text.describe('its private half: `sealed` here, or where else it is'),
})
export const signingKeyRotated = event('signing-key.rotated', 'The next key signs access tokens now.', {
  kid: Text,
  previousKid: Text.nullable(),
})
export const signingKeyRetired = event('signing-key.retired', 'A key is no longer published.', { kid: Text })
export const issuerKeysSeen = event('issuer.keys-seen', 'An issuer was seen with other keys than before.', {
  issuer: Text,
  url: Text,
  appeared: Texts,
  disappeared: Texts,
})

export const tokenEvents = [
  backchannelRedeemed,
  trustRuleCreated,
  trustRuleRetired,
  accessTokenIssued,
  accessTokenRefused,
  accessTokensEnded,
  signingKeyMade,
  signingKeyRotated,
  signingKeyRetired,
  issuerKeysSeen,
]
