/** Access keys: two slots of each user, how old they are, and where each was used last. */
import { xmlAt, xmlText, type XmlElement } from '../../kernel/aws/xml.ts'
import {
  credential,
  Holes,
  known,
  tellEach,
  unknown,
  Unreadable,
  type Known,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { instantOf, whenOf } from './account.ts'
import { call, listOf, orMissing, pages, textOf, wordOf, type Iam } from './api.ts'
import { accessKeyId } from './things.ts'

type Named = { readonly id: string; readonly name: string; readonly arn: string }

/** Users by name, id and ARN: less than their details, and another right. */
export async function listUsers(iam: Iam, signal: AbortSignal): Promise<Named[]> {
  const found: Named[] = []
  for await (const page of pages(iam, 'ListUsers', {}, signal)) {
    for (const user of listOf(page, 'Users'))
      found.push({ id: wordOf(user, 'UserId'), name: wordOf(user, 'UserName'), arn: wordOf(user, 'Arn') })
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
    found.push(...listOf(page, 'AccessKeyMetadata'))
  const told: Observation[] = []
  for (const key of found) {
    const keyId = wordOf(key, 'AccessKeyId')
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
        state: stateOf(wordOf(key, 'Status')),
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

function stateOf(status: string): Known<'active' | 'inactive'> {
  if (status === 'Active') return known('active')
  return status === 'Inactive' || status === 'Expired' ? known('inactive') : unknown('failed')
}

/** `N/A` stands for no service and no region: it was not used since IAM writes that down. */
function usedAt(used: XmlElement) {
  const told = xmlAt(used, 'AccessKeyLastUsed')
  if (!told || told.text.trim() !== '') throw new Unreadable('IAM answered without the last use of a key')
  const date = textOf(told, 'LastUsedDate')
  const at = instantOf(date)
  const [service, region] = ['ServiceName', 'Region'].map((name) => xmlText(told, name))
  return {
    at,
    by: service === undefined || service === 'N/A' ? {} : { privilege: `${service}:*` },
    facts: at
      ? { lastUsedService: service ?? null, lastUsedRegion: region ?? null }
      : date === undefined || date === 'N/A'
        ? { neverUsed: true }
        : {},
  }
}
