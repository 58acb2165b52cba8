import { Instant } from '../../kernel/instant.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Answer } from '../issued/ask.ts'
import type { LoginRotator, Place, Slots, TargetLogin, Tried } from '../rotation/rotator.ts'
import { LeaseFailure } from '../writer.ts'
import { callAws, element, elements, errorCode, type AwsNeeds } from './api.ts'
import { refusedAs } from './session.ts'
import { AwsSettings } from './settings.ts'

/** What STS says of a key that it does not know, that is inactive, or whose secret is another one. */
const REFUSED: ReadonlySet<string> = new Set(['InvalidClientTokenId', 'SignatureDoesNotMatch'])
const GONE = 'NoSuchEntity'

/**
 * Access keys of an IAM user, of which AWS keeps two at once. The user rotates its own: it needs `iam:ListAccessKeys`, `iam:CreateAccessKey`,
 * `iam:UpdateAccessKey`, `iam:DeleteAccessKey` and `iam:GetAccessKeyLastUsed` on itself. Without a user's name, IAM takes that of the key that signs.
 */
export function awsKeyRotator(needs: AwsNeeds): LoginRotator {
  const iam = (
    place: Place,
    actor: TargetLogin,
    { action, ...parameters }: { readonly action: string } & Readonly<Record<string, string>>,
    signal: AbortSignal,
  ) => {
    const keys = { id: actor.user, secret: actor.secret }
    return callAws(needs, AwsSettings.parse(place.settings), { service: 'iam', action, parameters, keys }, signal)
  }
  const slots: Slots = {
    async list(place, actor, signal) {
      const listed = mustBe('ListAccessKeys', await iam(place, actor, { action: 'ListAccessKeys' }, signal))
      const created = elements(listed, 'CreateDate')
      const found = elements(listed, 'AccessKeyId').map(async (user, at) => {
        const createdAt = Instant.safeDecode(created[at] ?? '').data
        if (!createdAt) throw new LeaseFailure('AWS does not say since when a key is there')
        const asked = { action: 'GetAccessKeyLastUsed', AccessKeyId: user }
        const used = mustBe('GetAccessKeyLastUsed', await iam(place, actor, asked, signal))
        const last = element(used, 'LastUsedDate')
        return { user, createdAt, isUsed: last !== undefined && last !== 'N/A' }
      })
      return Promise.all(found)
    },
    async create(place, actor, signal) {
      const made = mustBe('CreateAccessKey', await iam(place, actor, { action: 'CreateAccessKey' }, signal))
      const [user, secret] = [element(made, 'AccessKeyId'), element(made, 'SecretAccessKey')]
      if (!user || !secret) throw new LeaseFailure('AWS answered without a key')
      return { user, secret: new Secret(secret) }
    },
    async allow(place, actor, { user, isAllowed }, signal) {
      const asked = { action: 'UpdateAccessKey', AccessKeyId: user, Status: isAllowed ? 'Active' : 'Inactive' }
      const answer = await iam(place, actor, asked, signal)
      if (isAllowed || errorCode(answer) !== GONE) mustBe('UpdateAccessKey', answer)
    },
    async remove(place, actor, user, signal) {
      const answer = await iam(place, actor, { action: 'DeleteAccessKey', AccessKeyId: user }, signal)
      if (errorCode(answer) !== GONE) mustBe('DeleteAccessKey', answer)
    },
  }
  return {
    protocol: 'aws',
    make() {
      throw new Error('keys of AWS are made by AWS')
    },
    change: () => Promise.reject(new LeaseFailure('AWS makes its keys itself')),
    tryLogin: (place, { user, secret }, signal) => tryKey(needs, place, { id: user, secret }, signal),
    // Sessions that were opened with a key carry keys of their own and end by themselves.
    endSessions: async () => undefined,
    slots,
  }
}

async function tryKey(
  needs: AwsNeeds,
  place: Place,
  keys: { readonly id: string; readonly secret: Secret },
  signal: AbortSignal,
): Promise<Tried> {
  const settings = AwsSettings.parse(place.settings)
  const calling = { service: 'sts', action: 'GetCallerIdentity', parameters: {}, keys } as const
  const answer = await callAws(needs, settings, calling, signal)
  if (answer.status === 200) return { isAccepted: true }
  const code = errorCode(answer)
  if (REFUSED.has(code)) return { isAccepted: false, code, why: 'secret' }
  throw refusedAs('GetCallerIdentity', answer)
}

function mustBe(action: string, answer: Answer): Answer {
  if (answer.status !== 200) throw refusedAs(action, answer)
  return answer
}
