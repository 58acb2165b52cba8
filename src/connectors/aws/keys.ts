/** Access keys: two slots of each user, how old they are, and where each was used last. */
import { xmlMembers, xmlText, type XmlElement } from '../../kernel/aws/xml.ts'
import {
  credential,
  Holes,
  known,
  tellEach,
  unknown,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { instantOf, whenOf } from './account.ts'
import { call, orMissing, pages, type Iam } from './api.ts'
import { accessKeyId } from './things.ts'

type Named = { readonly id: string; readonly name: string; readonly arn: string }

/** Users by name, id and ARN: less than their details, and another right. */
export async function listUsers(iam: Iam, signal: AbortSignal): Promise<Named[]> {
  const found: Named[] = []
  for await (const page of pages(iam, 'ListUsers', {}, signal)) {
    for (const user of xmlMembers(page, 'Users')) {
      const [id, name, arn] = [xmlText(user, 'UserId'), xmlText(user, 'UserName'), xmlText(user, 'Arn')]
      if (id !== undefined && name !== undefined && arn !== undefined) found.push({ id, name, arn })
    }
  }
  return found
}

export async function* readKeys(iam: Iam, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const items = (await listUsers(iam, signal)).map((user) => ({
    key: user.name,
    tell: () => keysOf(iam, user, holes, signal),
  }))
  return yield* tellEach(orMissing, { items, holes }, since, signal)
}

async function keysOf(iam: Iam, { id, name }: Named, holes: Holes, signal: AbortSignal): Promise<Observation[]> {
  const found: XmlElement[] = []
  for await (const page of pages(iam, 'ListAccessKeys', { UserName: name }, signal))
    found.push(...xmlMembers(page, 'AccessKeyMetadata'))
  const told: Observation[] = []
  for (const key of found) {
    const keyId = xmlText(key, 'AccessKeyId')
    if (keyId === undefined) continue
    const [used] = await orMissing(
      async () => [await call(iam, 'GetAccessKeyLastUsed', { AccessKeyId: keyId }, signal)],
      holes,
    )
    const last = used && usedAt(used)
    told.push(
      credential({
        id: accessKeyId(keyId),
        principal: known({ kind: 'user', id }),
        type: 'api-key',
        name: `${name}: ${keyId}`,
        state: known(xmlText(key, 'Status') === 'Active' ? 'active' : 'inactive'),
        createdAt: whenOf(xmlText(key, 'CreateDate')),
        // A key is never changed, only followed by another.
        rotatedAt: whenOf(xmlText(key, 'CreateDate')),
        expiresAt: known('never'),
        fingerprints: known([{ alg: 'key-id', value: keyId }]),
        scopes: known([]),
        bindings: known([]),
        strength: known('strong'),
        heldBy: unknown('unsupported'),
        facts: { slotsInUse: found.length, ...last?.facts },
      }),
    )
    if (last?.at) {
      const actor = unknown('unsupported')
      told.push({ kind: 'usage', subject: accessKeyId(keyId), semantics: 'api-call', at: last.at, ...last.by, actor })
    }
  }
  return told
}

/** `N/A` stands for no service and no region: it was not used since IAM writes that down. */
function usedAt(used: XmlElement) {
  const last = ['AccessKeyLastUsed', 'LastUsedDate']
  const at = instantOf(xmlText(used, ...last))
  const [service, region] = ['ServiceName', 'Region'].map((name) => xmlText(used, 'AccessKeyLastUsed', name))
  return {
    at,
    by: service === undefined || service === 'N/A' ? {} : { privilege: `${service}:*` },
    facts: at ? { lastUsedService: service ?? null, lastUsedRegion: region ?? null } : { neverUsed: true },
  }
}
