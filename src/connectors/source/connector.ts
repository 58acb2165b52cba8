import { access, constants, lstat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  Denied,
  placeAuthority,
  Unreadable,
  type Connector,
  type Given,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeRef,
  type ScopeReport,
  type ScopesReport,
} from '../connector.ts'
import { gather, nothing, SHALLOW, unseen, type Gathered, type Seeing } from './gather.ts'
import { gatherImage } from './image.ts'
import { marksOf } from './marks.ts'
import { SCOPES, SourceSettings, type Scope } from './settings.ts'
import { tellGathered } from './tell.ts'

const PERMISSION = 'reading it, for the account of the node'

const manifest: Manifest = {
  id: 'source',
  version: '1',
  source: 'Source trees, git repositories, container images, logs of pipelines',
  observes: ['resource', 'credential', 'reference'],
  reads: [
    {
      scope: 'repository',
      gives:
        'secrets in every object of a git repository: where, who brought each first and when, whether the newest state has it',
      permission: `${PERMISSION}; the program git`,
      isOptional: true,
    },
    { scope: 'folder', gives: 'secrets in files as they lie there', permission: PERMISSION, isOptional: true },
    {
      scope: 'image',
      gives: 'secrets in the configuration and the layers of an image, and whether a later layer covers them',
      permission: PERMISSION,
      isOptional: true,
    },
    { scope: 'logs', gives: 'secrets that logs show', permission: PERMISSION, isOptional: true },
  ],
  writes: [],
  blindSpots: [
    'secrets that are put together at run time, split over lines, made of words, or under a name that says nothing',
    'what is inside of bzip2, xz, 7z, rar, PDF and office files, PKCS #12, and archives under a password',
    'objects that a shallow or partial clone lacks, and branches that were never fetched',
    'repositories and images at a server: this reads files of the machine of the node',
    'layers of images above 512 MB, packed or unpacked',
    'whether a secret that no other source knows still lives: no issuer is asked',
    'the public half of private keys in other forms than PEM and OpenSSH, and of PEM ones under a passphrase',
  ],
  metadataHandling:
    'Paths, lines, rules, commits with author and time are kept, and keyed fingerprints. Values do not leave the process that reads them, nor any character of them.',
  risks: ['NHI2:2025', 'NHI7:2025', 'NHI8:2025', 'NHI9:2025'],
}

/** Reads what is hard-coded: the scanner's findings as credentials of the inventory. */
export const sourceConnector: Connector = {
  manifest,
  settings: SourceSettings,
  credential: undefined,
  address(given) {
    const settings = SourceSettings.parse(given)
    return `file://${encodeURI(SCOPES.map((scope) => settings[scope]).find((path) => path !== undefined) ?? '/')}`
  },
  async open(given, signal) {
    signal.throwIfAborted()
    return opened(SourceSettings.parse(given.settings), given)
  },
}

function opened(settings: SourceSettings, { clock, fingerprint }: Given): OpenSource {
  const named = SCOPES.filter((scope) => settings[scope] !== undefined)
  return {
    async probe() {
      const scopes = await Promise.all(named.map((scope) => probed(scope, settings[scope] ?? '')))
      return {
        authority: await placeAuthority(
          'source',
          SCOPES.map((each) => settings[each] ?? ''),
        ),
        system: 'source code of this machine',
        scopes,
      }
    },
    scopes: () => scopes(named, settings),
    read(scope, _since, until) {
      const found = named.find((each) => each === scope)
      const path = found && settings[found]
      if (found === undefined || path === undefined) throw new Unreadable('there is no such scope')
      return read(found, path, { clock, marks: marksOf(fingerprint), withNames: settings.withNames }, until)
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

async function* scopes(named: readonly Scope[], settings: SourceSettings): AsyncGenerator<ScopeRef, ScopesReport> {
  for (const scope of named) yield { scope, title: `${scope} ${settings[scope] ?? ''}` }
  return { isAll: true, missing: [] }
}

const SHUT: Missing = { what: 'what is there', why: 'the account of the node may not read it', permission: PERMISSION }

async function probed(scope: Scope, path: string): Promise<ProbedScope> {
  try {
    const isFolder = (await lstat(path)).isDirectory()
    await access(path, isFolder ? constants.R_OK | constants.X_OK : constants.R_OK)
    return { scope, isVisible: true, missing: [] }
  } catch (error) {
    return { scope, isVisible: false, missing: [isDenied(error) ? SHUT : { ...SHUT, why: 'it is not there' }] }
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM')
}

async function* read(
  scope: Scope,
  path: string,
  seeing: Seeing,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const { isVisible, missing } = await probed(scope, path)
  const [first = SHUT] = missing
  if (!isVisible && first.why === SHUT.why) throw new Denied(first)
  if (!isVisible) throw new Unreadable('what the settings name is not there')
  const gathered = nothing()
  await fill(scope, path, seeing, gathered, signal)
  yield* tellGathered(scope, path, gathered)
  const dark = unseen(gathered)
  return { status: dark.isDark ? 'partial' : 'complete', missing: dark.missing }
}

async function fill(scope: Scope, path: string, seeing: Seeing, into: Gathered, signal: AbortSignal): Promise<void> {
  switch (scope) {
    case 'repository':
      await gatherHistory(path, seeing, into, signal)
      return
    case 'folder':
    case 'logs': {
      const tell = (finding: { readonly path: string }) => ({ path: finding.path, isInNewest: true, facts: {} })
      await gather(seeing, into, { kind: 'tree', root: path }, tell, signal)
      return
    }
    case 'image':
      await gatherImage(seeing, into, path, signal)
  }
}

async function gatherHistory(path: string, seeing: Seeing, into: Gathered, signal: AbortSignal): Promise<void> {
  if (await isShallow(path)) into.unread.set(SHALLOW, 1)
  try {
    await gather(
      seeing,
      into,
      { kind: 'history', repository: path },
      (finding) => ({ path: finding.path, isInNewest: finding.isPresent ?? false, facts: {} }),
      signal,
    )
  } catch (error) {
    signal.throwIfAborted()
    // Git says why in words of its own, with paths; those are for the log.
    throw new Unreadable('git could not read the repository, or is not installed', { cause: error })
  }
}

/** Git keeps where a shallow clone was cut in a file of that name. */
async function isShallow(path: string): Promise<boolean> {
  const found = await Promise.allSettled([lstat(join(path, '.git', 'shallow')), lstat(join(path, 'shallow'))])
  return found.some(({ status }) => status === 'fulfilled')
}
