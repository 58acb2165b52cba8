import { readFile } from 'node:fs/promises'
import {
  authenticate,
  callerBy,
  type IdentityFacts,
  type IdentityNeeds,
  type RecordedIdentities,
} from '../identities/identities.ts'
import type { Config } from '../kernel/config.ts'
import { openEgress } from '../kernel/egress.ts'
import type { FormDoor } from '../kernel/http/form.ts'
import type { Deciders } from '../kernel/http/handle.ts'
import type { ApiOptions } from '../kernel/http/server.ts'
import type { Caller, Route } from '../kernel/http/route.ts'
import { spkiSha256 } from '../kernel/key-pair.ts'
import type { Log } from '../kernel/log.ts'
import { Secret } from '../kernel/secret.ts'
import type { Stop } from '../kernel/stop.ts'
import { every } from '../kernel/timer.ts'
import type { View } from '../kernel/view.ts'
import type { DecisionPoint } from '../policy/policy.ts'
import {
  COMMAND_LINE,
  deviceDoor,
  DPOP_ALGORITHMS,
  backchannelDoor,
  introspectionDoor,
  openIssuerKeys,
  openKeyRing,
  pruneProofs,
  RESOURCE_PATH,
  revocationDoor,
  takeProofQuickly,
  tokenDocuments,
  tokenDoor,
  tokenRoutes,
  trustRulesAtHand,
  verifyDpop,
  type TokenNeeds,
} from '../tokens/tokens.ts'
import { openStepUp } from '../login/login.ts'
import type { Ground } from './ground.ts'

/** The token service as the listener takes it. */
export type OpenTokens = {
  readonly needs: TokenNeeds
  readonly routes: readonly Route[]
  readonly forms: readonly FormDoor[]
  readonly documents: NonNullable<ApiOptions['wellKnown']>
  readonly challenge: NonNullable<ApiOptions['challenge']>
  readonly authenticate: Deciders['authenticate']
  /** Told where the API listens, which names this installation when the configuration does not. */
  readonly reachedAt: (port: number) => void
}

export type TokenParts = {
  readonly config: Config
  readonly ground: Ground
  readonly log: Log
  readonly stop: Stop
}

/** Proofs are good for minutes, so their rows are few. */
const PRUNE_MS = 60_000

export async function openTokens(
  { config, ground, log, stop }: TokenParts,
  {
    record,
    view,
    ...parts
  }: Pick<IdentityNeeds, 'ledger' | 'random' | 'teams'> & {
    readonly view: View
    readonly recorded: RecordedIdentities
    readonly decisions: DecisionPoint
    readonly record: IdentityFacts
    readonly bundleOf: TokenNeeds['bundleOf']
  },
): Promise<OpenTokens> {
  const { db, clock, seal, keys } = ground
  const { caFile } = config.egress
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
  const egress = openEgress({ allow: config.egress.allow, ca })
  const base = { ...parts, db, clock, seal, log }
  const ring = await openKeyRing({ ...base, keys }, config.tokens)
  stop.add('signing keys', ring)
  let issuer = config.tokens.issuer ?? addressOf(config, config.api.port)
  const needs: TokenNeeds = {
    ...base,
    egress,
    ring,
    issuerKeys: openIssuerKeys({ ...base, egress }),
    rules: trustRulesAtHand(db, view),
    issuer: () => issuer,
    resources: config.tokens.resources,
    publicClients: [COMMAND_LINE, ...config.login.clients],
    mustPush: config.login.mustPush,
    takesIdJag: config.tokens.drafts.includes('id-jag-04'),
    enforcementPoints: new Set(config.authzen.enforcementPoints),
    authenticate: ({ token, keySha256, dpopKeySha256 }) =>
      authenticate(db, clock, new Secret(token), keySha256, dpopKeySha256),
  }
  const remembered: Remembered = (bearer, shown) => callerBy(record, clock, bearer, shown)
  if (config.node.roles.includes('worker')) stop.add('used proofs', pruning(needs))
  return {
    needs,
    routes: tokenRoutes(needs),
    forms: [
      tokenDoor(needs),
      deviceDoor(needs),
      backchannelDoor(needs, (tx, asked) => openStepUp(tx, needs, asked)),
      introspectionDoor(needs),
      revocationDoor(needs),
    ],
    documents: tokenDocuments(needs),
    challenge: (origin) =>
      `Bearer resource_metadata="${origin}${RESOURCE_PATH}", DPoP algs="${DPOP_ALGORITHMS.join(' ')}"`,
    // At the door a token counts as this node remembers it; where tokens are given for it, as its row says.
    authenticate: (presented) => callerOf(needs, remembered, presented),
    reachedAt: (port) => {
      issuer = config.tokens.issuer ?? addressOf(config, port)
    },
  }
}

type Presented = Parameters<Deciders['authenticate']>[0]
type Shown = { readonly keySha256: string | undefined; readonly dpopKeySha256?: string }
/** Who a token proves, as far as this node remembers it. */
type Remembered = (bearer: Secret, shown: Shown) => ReturnType<Deciders['authenticate']>

/** Who calls the API: by a token, and by the key it is bound to, in the handshake or in a proof for this very call. */
function callerOf(
  needs: TokenNeeds,
  remembered: Remembered,
  presented: Presented,
): ReturnType<Deciders['authenticate']> {
  const { bearer, certificate, keyCertificate = certificate, dpop } = presented
  if (!bearer) return undefined
  const shown = { keySha256: keyCertificate && spkiSha256(keyCertificate) }
  return dpop ? callerByProof(needs, remembered, { bearer, dpop, shown }) : remembered(bearer, shown)
}

type WithProof = {
  readonly bearer: Secret
  readonly dpop: NonNullable<Presented['dpop']>
  readonly shown: Shown
}

async function callerByProof(
  needs: TokenNeeds,
  remembered: Remembered,
  { bearer, dpop, shown }: WithProof,
): Promise<Caller | undefined> {
  const proven = await verifyDpop(needs.clock, {
    proof: dpop.proof,
    method: dpop.method,
    urls: [dpop.url, `${needs.issuer()}${new URL(dpop.url).pathname}`],
    token: bearer.reveal(),
  })
  if (!proven) return undefined
  const caller = await remembered(bearer, { ...shown, dpopKeySha256: proven.keySha256.toString('hex') })
  // Taken last, so that nobody fills the table who has no token.
  return caller && (await takeProofQuickly(needs.db, proven.once)) ? caller : undefined
}

function pruning(needs: TokenNeeds): Disposable {
  return every(PRUNE_MS, () => {
    pruneProofs(needs.db, needs.clock).catch((error: unknown) =>
      needs.log.warn({ err: error }, 'used proofs were not removed'),
    )
  })
}

/** One name for the installation, by the first that clients reach this node by. */
function addressOf({ api, tls }: Config, port: number): string {
  const host = tls.names[0] ?? 'localhost'
  return `${api.plaintext ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
