import { grantResource, loadGrant } from '../../access/access.ts'
import type { Grant } from '../../access/contract.ts'
import { transact, type Db } from '../../kernel/db.ts'
import { installation, openRoute, route, type OpenRoute, type Route } from '../../kernel/http/route.ts'
import { notFound } from '../../kernel/problem.ts'
import { listAuthorities, revocationList, rotateAuthority } from './authority.ts'
import * as contract from './contract.ts'
import { signForHost, type SshNeeds } from './issue.ts'

export function sshRoutes(needs: SshNeeds & { readonly db: Db }): Route[] {
  const { db } = needs
  return [
    route(contract.issueSshCertificate, {
      resource: ({ params }) => grantResource(db, params.grant),
      run: async ({ params, input, caller: { proof }, clientAddress: address }, permit) =>
        signForHost(db, needs, permit, { input, proof, address, grant: await grantNamed(db, params.grant) }),
    }),
    route(contract.listSshAuthorities, {
      resource: async () => installation(),
      run: () => listAuthorities(db, needs),
    }),
    route(contract.rotateSshAuthority, {
      resource: async () => installation(),
      run: ({ input }, permit) => transact(db, (tx) => rotateAuthority(tx, needs, permit, input)),
    }),
  ]
}

/** A list that hosts fetch: it names nobody, and whoever alters it on the way is stopped by TLS. */
export function sshOpenRoutes(needs: SshNeeds & { readonly db: Db }): OpenRoute[] {
  return [openRoute(contract.readSshRevocations, () => revocationList(needs.db, needs))]
}

async function grantNamed(db: Db, id: string): Promise<Grant> {
  const grant = await loadGrant(db, id)
  if (!grant) throw notFound('There is no such grant.', { type: 'Grant', id })
  return grant
}
