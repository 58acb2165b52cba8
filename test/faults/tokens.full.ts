import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyChange, approveChange, Change } from '../../src/access/contract.ts'
import { activateIdentity, attestOwner, registerIdentity } from '../../src/identities/contract.ts'
import { createTrustRule } from '../../src/tokens/contract.ts'
import { newTestKey, sendTo, signed } from '../support/token-world.ts'
import { untilDead, type FaultNode } from './node.ts'
import { found, type Plant } from './plant.ts'
import { checkpointOf, proveCauses, proveTold } from './proofs.ts'
import { failureOf } from './story.ts'

const BEFORE_COMMIT = [['token.signed'], ['token.entered']] as const
const COMMITTED = ['token.entered', 'kernel.committed'] as const
const JOB = { kind: 'workload', name: 'job', profile: 'pipeline', owner: 'bob', ownerTeam: 'shop', tier: 3 }

/** The access tokens that the record holds, each of which has its entry, and no entry is without one. */
async function issuedIn(plant: Plant): Promise<number> {
  return plant.look(async (db) => {
    const tokens = await db.selectFrom('apiToken').select('id').where('label', '=', 'access token').execute()
    const entries = await db
      .selectFrom('ledgerEntry')
      .select('leaf')
      .where('kind', '=', 'access-token.issued')
      .execute()
    const entered = entries.map(({ leaf }): string => JSON.parse(leaf.toString()).facts.tokenId)
    assert.deepEqual(new Set(entered), new Set(tokens.map(({ id }) => id)))
    return tokens.length
  })
}

test('a node is killed while it issues a token', async (t) => {
  const { plant, first } = await found(t)
  let node = first
  const key = await newTestKey()
  const { x = '', y = '' } = key.jwk
  {
    using ada = plant.as('ada', node)
    const params = { identity: 'job' }
    await ada.ask(registerIdentity, { input: JOB })
    using bob = plant.as('bob', node)
    await bob.ask(attestOwner, { params })
    await ada.ask(activateIdentity, { params })
    const keys = { keys: [{ kty: 'EC', crv: 'P-256', x, y }] }
    const input = { name: 'job', preset: 'client-key', isBound: false, keys }
    const given = { params, input, requestApproval: 'it is how the job proves itself' }
    const { id, boundSha256 } = Change.parse(await ada.call(createTrustRule, given))
    using erin = plant.as('erin', node)
    await erin.ask(approveChange, { params: { change: id }, input: { boundSha256 } })
    await ada.ask(applyChange, { params: { change: id } })
  }
  const issuerOf = ({ url }: FaultNode) => `https://localhost:${new URL(url).port}`
  const assertion = () => signed(key, { iss: 'job', sub: 'job', aud: audience })
  // Nodes of this plant listen on ports of their own, and a rule is for the token service as it was called when the rule was made.
  const audience = issuerOf(first)
  const ask = (client_assertion: string) => {
    const form = {
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion,
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const body = new URLSearchParams(form).toString()
    return sendTo(node.url, node.authority, '/oauth2/token', { method: 'POST', headers, body })
  }
  assert.equal((await ask(await assertion())).status, 200)

  const dying = async (arm: readonly string[], shown: string) => {
    await node.order({ arm })
    const said = await failureOf(ask(shown))
    await untilDead(node, `it did not die at ${arm.join(', then ')}: ${said}`)
    assert.equal(await node.died, 'SIGKILL')
    node = await plant.start()
  }

  for (const arm of BEFORE_COMMIT) {
    await t.test(
      `killed at ${arm.join(', then ')}: there is neither token nor entry, and what was shown is not spent`,
      async () => {
        const checkpoint = await checkpointOf(plant, node)
        const before = await issuedIn(plant)
        const shown = await assertion()

        await dying(arm, shown)

        assert.equal(await issuedIn(plant), before)
        assert.equal((await ask(shown)).status, 200)
        assert.equal((await ask(shown)).json.error, 'invalid_grant')
        assert.equal(await issuedIn(plant), before + 1)
        await proveTold(plant, node, [], checkpoint)
      },
    )
  }

  await t.test(
    `killed at ${COMMITTED.join(', then ')}: the entry is of a token that nobody got, and what was shown is spent`,
    async () => {
      const before = await issuedIn(plant)
      const shown = await assertion()

      await dying(COMMITTED, shown)

      assert.equal(await issuedIn(plant), before + 1)
      assert.notEqual((await ask(shown)).status, 200)
      assert.equal((await ask(await assertion())).status, 200)
      assert.equal(await issuedIn(plant), before + 2)
    },
  )
  assert.ok((await proveCauses(plant)) > 10)
  await node.kill('SIGTERM')
})
