/** The account itself, and its root, whom no policy bounds. */
import { xmlAt, xmlMembers, xmlText, type XmlElement } from '../../kernel/aws/xml.ts'
import { Denied, grant, known, principal, resource, type Missing, type Page, type ScopeReport } from '../connector.ts'
import { call, KeyOver, NoSuchThing, type Iam } from './api.ts'
import { accountId, rootId } from './things.ts'

/** Of the numbers of `GetAccountSummary`, those that say something of its credentials. */
const COUNTS = [
  'Users',
  'Groups',
  'Roles',
  'Policies',
  'MFADevicesInUse',
  'AccountMFAEnabled',
  'AccountAccessKeysPresent',
]
const RULES = ['MinimumPasswordLength', 'MaxPasswordAge', 'PasswordReusePrevention', 'ExpirePasswords', 'HardExpiry']

export async function* readSummary(iam: Iam, account: string, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const missing: Missing[] = []
  const ask = async (action: string): Promise<XmlElement | 'none' | undefined> => {
    try {
      return await call(iam, action, {}, signal)
    } catch (error) {
      if (error instanceof NoSuchThing) return 'none'
      if (!(error instanceof Denied) || error instanceof KeyOver) throw error
      missing.push(error.missing)
      return undefined
    }
  }
  const summary = await ask('GetAccountSummary')
  const aliases = await ask('ListAccountAliases')
  const passwords = await ask('GetAccountPasswordPolicy')
  const alias = typeof aliases === 'object' ? xmlMembers(aliases, 'AccountAliases')[0]?.text : undefined
  const name = alias === undefined ? account : `${alias} (${account})`
  const facts = {
    ...(typeof summary === 'object' && countsOf(summary)),
    ...(passwords === 'none' && { passwordPolicy: 'none' }),
    ...(typeof passwords === 'object' && rulesOf(passwords)),
  }
  const [here, root] = [accountId(account), rootId(account)]
  yield {
    observations: [
      resource({ id: here, type: 'aws-account', name, facts }),
      principal({
        id: root,
        type: 'human',
        name: 'root',
        state: known('active'),
        interactive: known(true),
        facts: { isBuiltIn: true },
      }),
      grant({ id: { kind: 'root-of', id: account }, principal: root, on: here, privilege: 'root', level: 'admin' }),
    ],
  }
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

function countsOf(summary: XmlElement): Record<string, number> {
  const entries = xmlAt(summary, 'SummaryMap')?.children ?? []
  const counts = new Map(entries.map((entry) => [xmlText(entry, 'key') ?? '', Number(xmlText(entry, 'value'))]))
  return Object.fromEntries(
    COUNTS.flatMap((name) => (Number.isFinite(counts.get(name)) ? [[name, counts.get(name) ?? 0]] : [])),
  )
}

function rulesOf(passwords: XmlElement): Record<string, string> {
  return Object.fromEntries(
    RULES.flatMap((name) => {
      const value = xmlText(passwords, 'PasswordPolicy', name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
}
