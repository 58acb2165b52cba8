/** What Gitea leaves out of its lists without a word: to who is no administrator, and to a token that is limited to what is public. */
import type { Missing, Page, ScopeReport } from '../connector.ts'
import { listAll, type Forge } from '../forge/api.ts'
import { Token, type User } from './shapes.ts'
import { TOKENS_MISSING } from './people.ts'

const ANSWER_BYTES = 64 * 1024

const NO_ADMINISTRATOR: Missing = {
  what: 'repositories that the login is not let into',
  why: 'Gitea lists all of them to an administrator only',
  permission: 'a token of an administrator',
}
const PUBLIC_ONLY: Missing = {
  what: 'what is private',
  why: 'the token is limited to what is public, and lists leave out the rest',
  permission: 'a token that is not limited to what is public',
}
const UNTOLD: Missing = {
  what: 'whether what is private was shown',
  why: 'Gitea does not say whether the token is limited to what is public',
  permission: 'user and password of the token’s own user in the credential, or a token without read:notification',
}

type Limited = { readonly self: User; readonly token: string; readonly byPassword: Forge | undefined }

/** What lists of repositories lack for this login, and what everything lacks for this token. */
export type Limits = { readonly ofRepositories: readonly Missing[]; readonly ofAll: readonly Missing[] }

export async function limitsOf(forge: Forge, limited: Limited, signal: AbortSignal): Promise<Limits> {
  const scope = await isPublicOnly(forge, limited, signal)
  const ofAll = scope === undefined ? [UNTOLD] : scope ? [PUBLIC_ONLY] : []
  return { ofRepositories: limited.self.is_admin ? [] : [NO_ADMINISTRATOR], ofAll }
}

/** Undefined where nothing tells. A token does not name its own scopes: its row does, and so does what it is refused for (`tokenRequiresScopes`). */
async function isPublicOnly(
  forge: Forge,
  { self, token, byPassword }: Limited,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  if (byPassword) {
    const path = `/users/${encodeURIComponent(self.login)}/tokens?limit=50`
    try {
      const own = await listAll(byPassword, { path, ...TOKENS_MISSING }, Token, signal)
      const rows = own.filter(({ token_last_eight: last }) => last !== undefined && last !== '' && token.endsWith(last))
      if (rows.length > 0) return rows.some(({ scopes }) => scopes?.includes('public-only') === true)
    } catch {
      // The part that reads tokens says why they are not shown.
      signal.throwIfAborted()
    }
  }
  const { status, body } = await forge.http(
    {
      path: `${forge.root}/notifications/new`,
      headers: forge.headers,
      ...(forge.ca !== undefined && { ca: forge.ca }),
      maxBytes: ANSWER_BYTES,
    },
    signal,
  )
  const said = body.toString('utf8')
  if (status !== 403 || !/token scope=/.test(said)) return undefined
  return said.includes('public-only')
}

/** A part that was read within these limits is not whole. */
export async function* within(
  missing: readonly Missing[],
  reading: AsyncGenerator<Page, ScopeReport>,
): AsyncGenerator<Page, ScopeReport> {
  const report = yield* reading
  if (missing.length === 0) return report
  return {
    ...report,
    status: report.status === 'complete' ? 'partial' : report.status,
    missing: [...report.missing, ...missing],
  }
}
