import type { Client } from '../../../src/cli/client.ts'
import { listPasskeys, removePasskey } from '../../../src/login/passkeys/contract.ts'
import { StepUp } from '../../../src/login/contract.ts'
import { withPasskey } from '../../support/passkey-pages.ts'
import type { Rows } from './call.ts'
import type { Stage } from './stage.ts'

export function passkeyRows(stage: Stage): Rows {
  const { mallory, drone, cast } = stage
  /** Somebody with a passkey, made once for each row that spends it. */
  const keyed = async () => {
    const name = stage.name()
    const { client } = await withPasskey(stage, name)
    const { items } = await client.ask(listPasskeys, { params: { identity: name } })
    return { name, client, passkey: items[0]?.id ?? '' }
  }
  const asked = async (): Promise<{ client: Client; stepUp: string }> => {
    const { client, passkey } = await keyed()
    const { id } = StepUp.parse(await client.call(removePasskey, { params: { passkey }, requestStepUp: true }))
    return { client, stepUp: id }
  }
  return {
    'passkey.list': {
      done: async () => {
        const { client, name } = await keyed()
        return { by: client, given: { params: { identity: name } } }
      },
      refused: () => ({ by: mallory, given: { params: { identity: 'bob' } } }),
      as: 'not-found',
    },
    'passkey.remove': {
      done: async () => ({ by: cast.erin, given: { params: { passkey: (await keyed()).passkey } } }),
      refused: async () => ({ by: mallory, given: { params: { passkey: (await keyed()).passkey } } }),
      as: 'not-permitted',
    },
    'step-up.list': {
      done: async () => ({ by: (await asked()).client }),
      refused: () => ({ by: stage.gone }),
      as: 'unauthenticated',
    },
    'step-up.read': {
      done: async () => {
        const { client, stepUp } = await asked()
        return { by: client, given: { params: { stepUp } } }
      },
      refused: async () => ({ by: drone, given: { params: { stepUp: (await asked()).stepUp } } }),
      as: 'not-permitted',
    },
  }
}
