import { createLoginLink, listLoginLinks } from '../../../src/login/contract.ts'
import { openLoginSession } from '../../../src/login/sessions/open.ts'
import { transact } from '../../../src/kernel/db.ts'
import type { Rows } from './call.ts'
import type { Stage } from './stage.ts'

/** Logins of people, and what lets a provider's word make one. */
export function loginRows(stage: Stage): Rows {
  const { cast, mallory, server } = stage
  const { ada, bob, erin } = cast
  const link = (identity: string) => ({
    params: { identity },
    input: { provider: 'idp', subject: `subject of ${identity}` },
  })
  const linked = async (): Promise<string> => {
    const name = await stage.person()
    await ada.ask(createLoginLink, link(name))
    return name
  }
  const linkOf = async (): Promise<string> => {
    const { items } = await ada.ask(listLoginLinks, { params: { identity: await linked() } })
    return items[0]?.id ?? ''
  }
  const { needs } = server.domains.login
  /** Bob, logged in as if he came back from the provider. */
  const login = async (): Promise<string> => {
    const bobs = await needs.db.selectFrom('identity').select('id').where('name', '=', 'bob').executeTakeFirstOrThrow()
    const by = { provider: 'idp', issuer: 'https://idp.example.org', subject: 'bob', session: null }
    const proof = {
      identityId: bobs.id,
      method: 'oidc',
      by,
      acr: null,
      amr: [],
      authenticatedAt: needs.clock.now(),
    } as const
    const client = { address: '192.0.2.1', agent: 'a browser' }
    return (await transact(needs.db, (tx) => openLoginSession(tx, needs, proof, { channel: 'browser', client }))).id
  }
  const why = { reason: 'a laptop was lost' }
  return {
    'login-session.list': {
      done: () => ({ by: bob, given: { params: { identity: 'bob' } } }),
      refused: () => ({ by: mallory, given: { params: { identity: 'bob' } } }),
      as: 'not-found',
    },
    'login-session.end': {
      done: async () => ({ by: erin, given: { params: { session: await login() }, input: why } }),
      refused: async () => ({ by: mallory, given: { params: { session: await login() }, input: why } }),
      as: 'not-found',
    },
    'login-link.create': {
      done: async () => ({ by: ada, given: link(await stage.person()) }),
      refused: async () => ({ by: ada, given: link(await linked()) }),
      as: 'approval-owed',
    },
    'login-link.list': {
      done: async () => ({ by: ada, given: { params: { identity: await linked() } } }),
      refused: async () => ({ by: mallory, given: { params: { identity: await linked() } } }),
      as: 'not-found',
    },
    'login-link.retire': {
      done: async () => ({ by: erin, given: { params: { link: await linkOf() }, input: why } }),
      refused: async () => ({ by: mallory, given: { params: { link: await linkOf() }, input: why } }),
      as: 'not-found',
    },
  }
}
