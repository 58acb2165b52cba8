import { actOf, identityResourceOf, unknownIdentity } from '../../identities/identities.ts'
import type { Db } from '../../kernel/db.ts'
import { soon } from '../../kernel/soon.ts'
import { installation, openRoute, route, type OpenRoute, type Route } from '../../kernel/http/route.ts'
import { signingKey, turn, type SpiffeNeeds } from './authority.ts'
import { bundleText } from './bundle.ts'
import * as contract from './contract.ts'
import { SvidIssuer, type SvidNeeds } from './issuer.ts'
import { listAuthorities } from './read.ts'

type Needs = Omit<SpiffeNeeds, 'trustDomain'> & { readonly db: Db; readonly trustDomain: string | undefined }

export function spiffeRoutes(needs: Needs & Pick<SvidNeeds, 'view' | 'recorded'>): Route[] {
  const { db, view, recorded } = needs
  const spiffe = enabled(needs)
  const issuer = spiffe && new SvidIssuer(db, { ...spiffe, view, recorded })
  const about = ({ params }: { readonly params: { readonly identity: string } }) =>
    soon(recorded.find(params.identity), (found) => {
      if (!found) throw unknownIdentity(params.identity)
      return identityResourceOf(found, found.enrolled)
    })
  return [
    route(contract.issueX509Svid, {
      resource: about,
      run: ({ input }, permit) => (issuer ?? refuse()).x509(permit, input),
    }),
    route(contract.issueJwtSvid, {
      resource: about,
      run: ({ input }, permit) => (issuer ?? refuse()).jwt(permit, input),
    }),
    route(contract.rotateSpiffe, {
      resource: async () => installation(),
      run: async ({ input: { distrust, reason } }, permit) => {
        const on = spiffe ?? refuse()
        await signingKey(db, on, 'x509')
        await turn(db, on, { fact: actOf(permit), distrust, reason })
        return listAuthorities(db)
      },
    }),
  ]
}

/** What anybody may verify SVIDs by. */
export function spiffeOpenRoutes(needs: Needs): OpenRoute[] {
  return [openRoute(contract.readSpiffeBundle, () => bundleText(needs.db, enabled(needs) ?? refuse()))]
}

function enabled({ trustDomain, ...needs }: Needs): SpiffeNeeds | undefined {
  return trustDomain === undefined ? undefined : { ...needs, trustDomain }
}

function refuse(): never {
  throw contract.noTrustDomain('Set spiffe.trustDomain in the configuration: a name such as example.org.', {})
}
