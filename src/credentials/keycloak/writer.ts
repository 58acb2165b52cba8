import type { Egress } from '../../kernel/egress.ts'
import { Secret } from '../../kernel/secret.ts'
import type { HandedWriter } from '../issued/handed.ts'
import { lentWriter, refusedWith, STILL_ACCEPTED } from '../issued/lent.ts'
import { keycloakSecretRotator } from './rotate.ts'
import { KeycloakSettings } from './settings.ts'

/** The protocol of realms whose clients are accounts. */
export const KEYCLOAK = 'keycloak'

/** Lends the secret of a client: those who hold a copy take the new one here. */
export function keycloakWriter({ egress }: { readonly egress: Egress }): HandedWriter {
  const rotator = keycloakSecretRotator({ egress })
  return lentWriter({
    kind: 'keycloak-client',
    protocol: KEYCLOAK,
    aboutOf(site) {
      const { server, realm } = KeycloakSettings.parse(site.settings)
      return { server, realm }
    },
    async probe({ target, settings }, { user, password }, signal) {
      const tried = await rotator.tryLogin(
        { target, settings, databases: [] },
        { user, secret: new Secret(password) },
        signal,
      )
      return tried.isAccepted ? STILL_ACCEPTED : refusedWith(tried.code)
    },
  })
}
