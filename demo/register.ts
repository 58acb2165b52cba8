import { styleText } from 'node:util'
import {
  approvePurpose,
  listAccounts,
  proposePurpose,
  registerAccount,
  registerTarget,
  surveyTarget,
  type Account,
} from '../src/catalog/contract.ts'
import type { Stage } from './acts.ts'
import { refused } from './acts.ts'
import { ms } from './evidence.ts'
import type { Production } from './production.ts'

const DAY_MS = 86_400_000

/** Registers production, looks at what stands there, and has its purposes approved. */
export async function registerShop(stage: Stage): Promise<void> {
  const { evidence, production, cast } = stage
  evidence.step('Production is registered, and what stands there is looked at')
  await cast.ada.ask(registerTarget, { input: shopTarget(production) })
  const startedAt = performance.now()
  const seen = await cast.ada.ask(surveyTarget, { params: { target: 'shop-db' } })
  const { items } = await cast.ada.ask(listAccounts, { params: { target: 'shop-db' }, query: { limit: 200 } })
  for (const account of items) evidence.tell(lineOf(account))
  evidence.prove(
    'every role is known, and none has an owner yet',
    seen.unclaimed === items.length,
    `${seen.seen} read in ${ms(startedAt)}`,
  )
  await cast.bob.ask(registerAccount, { params: { target: 'shop-db' }, input: SHOP_ACCOUNT })
  evidence.tell('The account app maps reading, writing, schema and privilege to the group roles that bound them.')
  for (const input of shopPurposes()) await purpose(stage, input)
}

/** Production, as the catalog knows it. */
export function shopTarget({ cluster, authority, provisioner }: Production) {
  const tls = { mode: 'verify-full', ca: authority }
  return {
    name: 'shop-db',
    protocol: 'postgres',
    environment: 'production',
    sensitivity: 1,
    businessService: 'shop',
    ownerTeam: 'shop',
    settings: { host: cluster.host, port: cluster.port, database: 'shop', tls },
    provisioner,
  }
}

/** The account people and pipelines act as: a role of its own per grant, bounded by the group roles. */
export const SHOP_ACCOUNT = {
  name: 'app',
  mode: 'lease',
  databases: ['shop'],
  roles: {
    'postgres.read': 'shop_reader',
    'postgres.write': 'shop_writer',
    'postgres.schema': 'shop_owner',
    'postgres.privilege': 'shop_owner',
  },
}

/** What the shop's people and pipelines may ever want there. */
export function shopPurposes() {
  const expiresAt = new Date(Date.now() + 90 * DAY_MS).toISOString()
  const common = { ownerTeam: 'shop', targets: ['shop-db'], expiresAt }
  return [
    {
      ...common,
      name: 'shop-releases',
      statement: 'Changes the schema when a release needs it.',
      actions: ['postgres.read', 'postgres.write', 'postgres.schema'],
    },
    {
      ...common,
      name: 'shop-operations',
      statement: 'Keeps the shop’s database working.',
      actions: ['postgres.read', 'postgres.write', 'postgres.privilege'],
    },
  ]
}

async function purpose({ evidence, cast }: Stage, input: ReturnType<typeof shopPurposes>[number]): Promise<void> {
  const { name } = input
  await cast.bob.ask(proposePurpose, { input })
  const own = await refused(() => cast.bob.ask(approvePurpose, { params: { purpose: name } }))
  const approved = await cast.carol.ask(approvePurpose, { params: { purpose: name } })
  evidence.prove(
    `the purpose ${name}: Bob proposed, only Carol could approve`,
    own !== undefined && approved.state === 'approved',
  )
}

function lineOf({ name, attributes }: Account): string {
  const { isSuperuser, canCreateRole, canLogIn, validUntil, memberOf = [], owner } = attributes
  const remarks = [
    ...(isSuperuser ? [styleText('red', 'superuser')] : []),
    ...(canCreateRole ? [styleText('yellow', 'makes roles')] : []),
    ...(canLogIn && validUntil === null ? [styleText('yellow', 'password never expires')] : []),
    ...(canLogIn ? [] : ['group']),
    ...(typeof validUntil === 'string' ? [`valid until ${validUntil.slice(0, 10)}`] : []),
    ...(memberOf.length > 0 ? [`in ${memberOf.join(', ')}`] : []),
    ...(owner ? [`“${owner}”`] : []),
  ]
  return `${name.padEnd(20)} ${remarks.join(' · ')}`
}
