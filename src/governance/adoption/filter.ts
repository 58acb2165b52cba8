import { z } from 'zod'
import { Environment, IdentityKind, Profile, Tier, Trait } from '../../identities/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Slug } from '../../kernel/ids.ts'

const ACTING_TYPES = ['account', 'human', 'service', 'workload', 'agent', 'app', 'device'] as const

/** Why something that was found is no identity after this. */
export const LEFT = {
  person: 'a person: link it to who it is, or let the identity provider enter them',
  'kind-unknown': 'no fact says what kind of thing it is: say the kind',
  'profile-unknown': 'no fact says how it is governed: say the profile',
  'misfit-profile': 'its kind and the profile do not go together',
  'built-in': 'its system came with it: name it to adopt it all the same',
  'shares-a-secret': 'it shows the secret of an identity: link it, or name it to adopt it all the same',
  'shares-a-name':
    'it has the name of an account that an identity claims and is another one than stood there: link it, or name it to adopt it',
  missed: 'the last reading did not find it any more',
  deleted: 'its source says that it is deleted',
} as const
export type LeftWhy = keyof typeof LEFT
export const LEFT_WHYS = [
  'person',
  'kind-unknown',
  'profile-unknown',
  'misfit-profile',
  'built-in',
  'shares-a-secret',
  'shares-a-name',
  'missed',
  'deleted',
] as const satisfies readonly LeftWhy[]

/** Which of what nobody claims is meant; what is left out narrows nothing. */
export const adoptionFilter = {
  source: Slug.optional().describe('of this source alone: name or id'),
  ownerTeam: Slug.optional().describe('of sources that this team answers for'),
  type: shown(z.enum(ACTING_TYPES)).optional().describe('as the source says it'),
  environment: Environment.optional().describe('where it stands'),
  ofKind: IdentityKind.optional().describe('that is of this kind by the facts'),
  ofProfile: Profile.optional().describe('that has this profile by the facts'),
  ofTier: Tier.optional().describe('that is of this tier by the facts'),
  ofTrait: Trait.optional().describe('that has this trait by the facts'),
  answeredFor: shown(z.boolean())
    .optional()
    .describe('that a person made, or that an identity made or keeps the login of which a person answers for'),
} as const
/** What is said of all of them, where no fact says it. */
export const adoptionWord = {
  kind: IdentityKind.exclude(['human']).optional().describe('where no fact says it'),
  profile: Profile.exclude(['person', 'break-glass']).optional().describe('where no fact says it'),
} as const
