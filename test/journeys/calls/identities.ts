import { enrolIdentity, issueToken, retireIdentity, suspendIdentity } from '../../../src/identities/contract.ts'
import type { Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const WHY = { reason: 'because the test says so' }

export function identityRows(stage: Stage): Rows {
  const { cast, mallory, drone, gone, nobody } = stage
  const { ada, bob, carol, erin } = cast
  const of = (identity: string, input?: unknown) => ({ params: { identity }, input })
  /** Done by `by` to what `make` makes, refused to Mallory. */
  const change = (by: typeof ada, make: () => Promise<string>, input?: unknown): Row => ({
    done: async () => ({ by, given: of(await make(), input) }),
    refused: async () => ({ by: mallory, given: of(await make(), input) }),
    as: 'not-permitted',
  })
  const stopped = async (how: typeof suspendIdentity | typeof retireIdentity) => {
    const identity = await stage.person()
    await ada.ask(how, of(identity, WHY))
    return identity
  }
  const token = () => bob.ask(issueToken, of('bob', { label: 'to be revoked' }))
  return {
    'identity.list': { done: () => ({ by: bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'identity.read': {
      done: () => ({ by: bob, given: of('ada') }),
      refused: () => ({ by: drone, given: of('ada') }),
      as: 'not-found',
    },
    'identity.assess': {
      done: () => ({ by: bob, given: of('ada') }),
      refused: () => ({ by: drone, given: of('ada') }),
      as: 'not-found',
    },
    'identity.whoami': { done: () => ({ by: drone }), refused: () => ({ by: gone }), as: 'unauthenticated' },
    'identity.register': {
      done: () => ({ by: ada, given: { input: { kind: 'human', name: stage.name(), profile: 'person' } } }),
      refused: () => ({ by: bob, given: { input: { kind: 'human', name: stage.name(), profile: 'person' } } }),
      as: 'not-permitted',
    },
    'identity.update': change(ada, () => stage.workload(), { purpose: 'sends the invoices' }),
    'identity.activate': change(ada, () => stage.person(false)),
    'identity.suspend': change(erin, () => stage.person(), WHY),
    'identity.resume': change(ada, () => stopped(suspendIdentity)),
    'identity.retire': change(ada, () => stage.person(), WHY),
    'identity.erase': change(ada, () => stopped(retireIdentity), WHY),
    'identity.assign-owner': change(ada, () => stage.workload(), { owner: 'carol', evidence: 'she wrote it' }),
    'identity.attest-owner': {
      done: async () => ({ by: bob, given: of(await stage.workload()) }),
      refused: async () => ({ by: carol, given: of(await stage.workload()) }),
      as: 'not-permitted',
    },
    'identity.lose-owner': change(ada, () => stage.workload(), WHY),
    'identity.enrol': change(ada, () => stage.person(false), {}),
    'enrolment.redeem': {
      done: async () => {
        const { secret } = await ada.ask(enrolIdentity, of(await stage.person(false), {}))
        return { by: nobody, given: { input: { secret } } }
      },
      refused: () => ({ by: nobody, given: { input: { secret: 'a guess' } } }),
      as: 'enrolment-invalid',
    },
    'token.issue': {
      done: () => ({ by: bob, given: of('bob', { label: 'laptop' }) }),
      refused: () => ({ by: mallory, given: of('bob', { label: 'laptop' }) }),
      as: 'not-permitted',
    },
    'token.list': {
      done: () => ({ by: bob, given: of('bob') }),
      refused: () => ({ by: mallory, given: of('bob') }),
      as: 'not-found',
    },
    'token.revoke': {
      done: async () => ({ by: bob, given: { params: { token: (await token()).id } } }),
      refused: async () => ({ by: mallory, given: { params: { token: (await token()).id } } }),
      as: 'not-found',
    },
  }
}
