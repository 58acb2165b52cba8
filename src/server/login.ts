import { readFile } from 'node:fs/promises'
import type { Config } from '../kernel/config.ts'
import type { Deciders } from '../kernel/http/handle.ts'
import type { ApiOptions } from '../kernel/http/server.ts'
import type { Caller, Route } from '../kernel/http/route.ts'
import { Secret } from '../kernel/secret.ts'
import type { Stop } from '../kernel/stop.ts'
import { soon } from '../kernel/soon.ts'
import {
  authorizationDoors,
  devicePages,
  loginPages,
  loginRoutes,
  logoutDoor,
  logoutPages,
  openActivity,
  openProvider,
  passkeyPages,
  passkeyRoutes,
  passkeyWay,
  pushedDoor,
  stepUpPages,
  stepUpRoutes,
  type LoginNeeds,
  type Provider,
} from '../login/login.ts'
import type { OpenTokens } from './tokens.ts'

/** The logins of people as the listener takes them. */
export type OpenLogin = {
  readonly needs: LoginNeeds
  readonly routes: readonly Route[]
  readonly pages: NonNullable<ApiOptions['pages']>
  readonly forms: NonNullable<ApiOptions['forms']>
  /** As the token service has it, and noting which logins are used. */
  readonly authenticate: Deciders['authenticate']
}

export async function openLogin(
  { config, stop }: { readonly config: Config; readonly stop: Stop },
  tokens: OpenTokens,
): Promise<OpenLogin> {
  const { sessionMinutes, idleMinutes } = config.login
  const providers = await openProviders(config, tokens)
  const needs: LoginNeeds = {
    ...tokens.needs,
    sessionSeconds: sessionMinutes * 60,
    idleSeconds: Math.min(idleMinutes, sessionMinutes) * 60,
    providers,
    otherWays: (returnTo) => [passkeyWay(returnTo)],
  }
  const activity = openActivity(needs)
  stop.add('logins', activity)
  const noted = (caller: Caller | undefined) => {
    if (caller) activity.seen(caller)
    return caller
  }
  return {
    needs,
    routes: [...loginRoutes(needs), ...passkeyRoutes(needs), ...stepUpRoutes(needs)],
    pages: [
      ...loginPages(needs),
      ...logoutPages(needs),
      ...devicePages(needs),
      ...authorizationDoors(needs),
      ...passkeyPages(needs),
      ...stepUpPages(needs),
    ],
    forms: [pushedDoor(needs), ...providers.map((provider) => logoutDoor(needs, provider))],
    authenticate: (presented) => soon(tokens.authenticate(presented), noted),
  }
}

function openProviders(config: Config, { needs }: OpenTokens): Promise<Provider[]> {
  return Promise.all(
    config.login.providers.map(async ({ clientSecretFile, clientSecret, title, ...terms }) => {
      const text = clientSecretFile === undefined ? undefined : (await readFile(clientSecretFile, 'utf8')).trim()
      const secret = text === undefined ? clientSecret : new Secret(text)
      return openProvider(needs, { ...terms, title: title ?? terms.name, clientSecret: secret })
    }),
  )
}
