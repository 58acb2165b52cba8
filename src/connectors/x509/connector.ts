import { access, constants, readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { sha256 } from '../../kernel/crypto.ts'
import {
  Unreadable,
  type Connector,
  type Given,
  type Manifest,
  type OpenSource,
  type ProbedScope,
  type ScopeRef,
  type ScopesReport,
} from '../connector.ts'
import { CLOSED, isAllowed, readEndpoint } from './endpoints.ts'
import { FOLDER_MISSING, readFiles, rootOf } from './files.ts'
import { endpointName, X509SourceSettings, type Endpoint } from './settings.ts'

const manifest: Manifest = {
  id: 'x509',
  version: '1',
  source: 'Certificates: files of a machine, TLS endpoints',
  observes: ['credential', 'resource', 'reference'],
  reads: [
    {
      scope: 'files',
      gives:
        'certificates and private keys in the files of a folder: expiry, names, chain, strength, which key is whose',
      permission: FOLDER_MISSING.permission ?? '',
      isOptional: true,
    },
    {
      scope: 'endpoint/*',
      gives: 'the chain that an endpoint shows in one handshake, and whether it is trusted',
      permission: 'connecting to it; a private address listed in settings.allow',
      isOptional: true,
    },
  ],
  writes: [],
  blindSpots: [
    'what is in a PKCS #12, JKS or PKCS #7 store: that it is there is told, not what it holds',
    'which certificate an encrypted private key belongs to',
    'private keys in hardware, in a vault or in the memory of a process',
    'certificates that an endpoint shows under other names than the one that was asked for, or only after STARTTLS',
    'endpoints of TLS 1.2 and older that end the handshake without a certificate of the client',
    'whether a certificate was revoked: neither lists nor OCSP are asked',
    'when a certificate was made: it says when it begins',
    'files larger than a megabyte, and what links lead to outside of the folder',
  ],
  metadataHandling:
    'Subjects, issuers, names, serials, times, algorithms, paths with owner and permission bits are kept. Of a private key only the hash of its public half is kept, and nothing else leaves the process that reads it.',
  risks: ['NHI2:2025', 'NHI4:2025', 'NHI6:2025', 'NHI7:2025', 'NHI8:2025', 'NHI9:2025'],
}

/** Reads certificates where they lie and where they are shown. */
export const x509Connector: Connector = {
  manifest,
  settings: X509SourceSettings,
  credential: undefined,
  address(given) {
    const { folder, endpoints } = X509SourceSettings.parse(given)
    if (folder !== undefined) return `file://${encodeURI(folder)}`
    const [first] = endpoints
    if (!first) throw new Unreadable('neither a folder nor endpoints are named')
    return `tls://${endpointName({ ...first, serverName: undefined })}`
  },
  async open(given, signal) {
    return openX509(given, {}, signal)
  },
}

/** With a patience of a test's own. */
export async function openX509(
  { settings: raw, clock }: Pick<Given, 'settings' | 'clock'>,
  patience: { readonly patienceMs?: number },
  signal: AbortSignal,
): Promise<OpenSource> {
  signal.throwIfAborted()
  const settings = X509SourceSettings.parse(raw)
  const byScope = new Map(settings.endpoints.map((endpoint) => [`endpoint/${endpointName(endpoint)}`, endpoint]))
  return {
    async probe() {
      const files = settings.folder === undefined ? [] : [await probeFolder(settings.folder)]
      const endpoints = [...byScope].map(([scope, endpoint]) => probeEndpoint(settings, scope, endpoint))
      const authority = await authorityOf(settings)
      return { authority, system: 'certificates of this machine and its network', scopes: [...files, ...endpoints] }
    },
    scopes: () => scopes(settings, byScope.keys()),
    read(scope, _since, until) {
      const now = clock.now()
      if (scope === 'files' && settings.folder !== undefined) return readFiles(settings.folder, now, until)
      const endpoint = byScope.get(scope)
      if (!endpoint) throw new Unreadable('there is no such scope')
      return readEndpoint({ settings, now, ...patience }, endpoint, until)
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

async function* scopes(
  { folder }: X509SourceSettings,
  endpoints: Iterable<string>,
): AsyncGenerator<ScopeRef, ScopesReport> {
  if (folder !== undefined) yield { scope: 'files', title: `certificate files under ${folder}` }
  for (const scope of endpoints) yield { scope, title: `what ${scope.slice('endpoint/'.length)} shows` }
  return { isAll: true, missing: [] }
}

async function probeFolder(folder: string): Promise<ProbedScope> {
  try {
    await access(await rootOf(folder), constants.R_OK | constants.X_OK)
    return { scope: 'files', isVisible: true, missing: [] }
  } catch {
    return { scope: 'files', isVisible: false, missing: [FOLDER_MISSING] }
  }
}

/** Asks nobody: a name is looked up when it is read. */
function probeEndpoint(settings: X509SourceSettings, scope: string, endpoint: Endpoint): ProbedScope {
  const isOpen = isIP(endpoint.host) === 0 || isAllowed(settings, endpoint, [endpoint.host])
  return { scope, isVisible: isOpen, missing: isOpen ? [] : [CLOSED] }
}

/**
 * What is read, itself: this list of endpoints, this folder of this machine. Paths mean something on one machine only; endpoints are the same from
 * wherever they are asked.
 */
async function authorityOf({ folder, endpoints }: X509SourceSettings): Promise<string> {
  const names = endpoints.map(endpointName).toSorted((a, b) => (a < b ? -1 : 1))
  // machine-id(5): the id itself is not for others.
  const machine = folder === undefined ? '' : await readFile('/etc/machine-id', 'utf8').catch(() => hostname())
  const basis = JSON.stringify(['reeve x509', machine.trim(), folder ?? '', names])
  return `x509:${sha256(basis).toString('hex').slice(0, 32)}`
}
