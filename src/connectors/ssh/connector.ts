import { Secret } from '../../kernel/secret.ts'
import {
  loginOf,
  Unreadable,
  type Connector,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeRef,
  type ScopeReport,
  type ScopesReport,
  type Since,
} from '../connector.ts'
import { readAccounts } from './accounts.ts'
import { closedOf, hostOf, type Host } from './host.ts'
import { CERTIFICATES_MISSING, JOBS_MISSING, readCertificates, readJobs } from './jobs.ts'
import { KEYS_MISSING, readKeys, readSshd, SSHD_MISSING } from './keys.ts'
import { openLink, type Link } from './link.ts'
import { LOG_MISSING, readLog } from './log.ts'
import { readLogins } from './logins.ts'
import { readRecords } from './records.ts'
import { listScript } from './script.ts'
import { SshSourceCredential, SshSourceSettings } from './settings.ts'
import { readSudo, SUDOERS_MISSING } from './sudoers.ts'

const ROOT = KEYS_MISSING.permission ?? ''

const manifest: Manifest = {
  id: 'ssh',
  version: '1',
  source: 'Linux hosts, over SSH',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'reference', 'usage', 'usage-window'],
  reads: [
    {
      scope: 'accounts',
      gives: 'accounts, groups, shells, who is root',
      permission: 'a login by key',
      isOptional: false,
    },
    { scope: 'authorized-keys', gives: 'which keys log in as whom, with options', permission: ROOT, isOptional: true },
    { scope: 'sshd', gives: 'the settings of sshd, authorities it trusts', permission: ROOT, isOptional: true },
    { scope: 'sudoers', gives: 'who may run what by sudo, and without a password', permission: ROOT, isOptional: true },
    {
      scope: 'jobs',
      gives: 'units of systemd and tables of cron that name files of credentials',
      permission: `a login by key; ${ROOT} for tables of cron of accounts`,
      isOptional: true,
    },
    {
      scope: 'certificates',
      gives: 'certificates and private keys in the folders that were named',
      permission: ROOT,
      isOptional: true,
    },
    {
      scope: 'logins',
      gives: 'the last login of each account at a terminal',
      permission: 'the program last',
      isOptional: true,
    },
    {
      scope: 'log',
      gives: 'logins by key, counted by day',
      permission: LOG_MISSING.permission ?? '',
      isOptional: true,
    },
  ],
  writes: [],
  blindSpots: [
    'whether an account is locked or has a password: shadow is not read',
    'keys that AuthorizedKeysCommand gives, and accounts of directories that do not let themselves be listed',
    'settings of sshd within Match blocks, and of an sshd with another configuration than the one that was named',
    'files that sudoers takes in from elsewhere than /etc/sudoers.d, rules that come from LDAP, and what Defaults change',
    'units of users, timers of other schedulers, and jobs that find a credential without naming its path',
    'logins without a terminal in wtmp, and what the log says in the systemd journal alone',
    'whether a line of the log is true: whoever may write to the log of the host may have made it',
    'a host whose root deceives: it is asked, and what it answers is believed',
  ],
  metadataHandling:
    'Names, comments, paths with owner and permission bits, public keys as fingerprints, certificates, rules of sudo by program. Of forced commands and jobs the program or the paths that look like credentials, never the rest. No private key, no password hash and no content of a credential file leaves the host.',
  risks: ['NHI1:2025', 'NHI2:2025', 'NHI4:2025', 'NHI5:2025', 'NHI7:2025', 'NHI9:2025', 'NHI10:2025'],
}

/** Reads who can get into a Linux host, as whom, and what works there. */
export const sshConnector: Connector = {
  manifest,
  settings: SshSourceSettings,
  credential: SshSourceCredential,
  address(given) {
    const { host, port } = SshSourceSettings.parse(given)
    return `ssh://${host.includes(':') ? `[${host}]` : host}:${port}`
  },
  async open(given, signal): Promise<OpenSource> {
    const settings = SshSourceSettings.parse(given.settings)
    const { privateKey } = loginOf(given, SshSourceCredential, 'key to log in with')
    const link = await openLink(settings, new Secret(privateKey))
    try {
      // One connection, one moment: every part is of the same state of the host.
      const records = readRecords(await link.run(listScript(settings), signal))
      return sourceOf(hostOf(settings, records, given.clock.now()), link)
    } catch (error) {
      await link[Symbol.asyncDispose]()
      throw error
    }
  },
}

function sourceOf(host: Host, link: Link): OpenSource {
  return {
    probe: async () => ({
      authority: host.authority,
      system: host.system,
      scopes: PARTS.map((part) => probed(host, part)),
    }),
    scopes: () => scopes(),
    read: (scope, since, signal) => readPart(host, link, { scope, since }, signal),
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  }
}

const TITLES = {
  accounts: 'accounts and groups',
  'authorized-keys': 'keys that log in',
  sshd: 'settings of sshd',
  sudoers: 'who may become whom',
  jobs: 'jobs that use credentials',
  certificates: 'certificate files',
  logins: 'last logins',
  log: 'logins by key',
} as const
type Part = keyof typeof TITLES
const PARTS = ['accounts', 'authorized-keys', 'sshd', 'sudoers', 'jobs', 'certificates', 'logins', 'log'] as const

async function* scopes(): AsyncGenerator<ScopeRef, ScopesReport> {
  for (const scope of PARTS) yield { scope, title: TITLES[scope], ...(scope === 'log' && { isFeed: true }) }
  return { isAll: true, missing: [] }
}

function probed(host: Host, scope: Part): ProbedScope {
  const missing = missingOf(host, scope)
  const isVisible = missing.length === 0 || scope === 'jobs' || scope === 'certificates'
  return { scope, isVisible, missing }
}

function missingOf(host: Host, scope: Part): Missing[] {
  const has = (word: string) => host.records.some((record) => record.word === word)
  switch (scope) {
    case 'authorized-keys':
      return host.isRoot ? [] : [KEYS_MISSING]
    case 'sshd':
      return has('sshd') ? [] : [SSHD_MISSING]
    case 'sudoers':
      return has('sudoers') || closedOf(host, 'sudoers').length === 0 ? [] : [SUDOERS_MISSING]
    case 'jobs':
      return closedOf(host, 'jobs').length === 0 ? [] : [JOBS_MISSING]
    case 'certificates':
      return closedOf(host, 'certificates').length === 0 ? [] : [CERTIFICATES_MISSING]
    case 'log':
      return host.settings.log === undefined ? [LOG_MISSING] : []
    case 'accounts':
    case 'logins':
    default:
      return []
  }
}

function readPart(
  host: Host,
  link: Link,
  { scope, since }: { readonly scope: string; readonly since: Since },
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  switch (scope) {
    case 'accounts':
      return readAccounts(host)
    case 'authorized-keys':
      return readKeys(host)
    case 'sshd':
      return readSshd(host)
    case 'sudoers':
      return readSudo(host)
    case 'jobs':
      return readJobs(host)
    case 'certificates':
      return readCertificates(host)
    case 'logins':
      return readLogins(host)
    case 'log':
      return readLog(host, link, since, signal)
    default:
      throw new Unreadable('there is no such scope')
  }
}
