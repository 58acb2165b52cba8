import type { z } from 'zod'
import {
  beginUse,
  issueKey,
  proveGrant,
  releaseUse,
  useGrant,
  type AccessNeeds,
  type GrantFacts,
  type Use,
} from '../../access/access.ts'
import { useRefused, type Grant } from '../../access/contract.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Caller } from '../../kernel/http/route.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import { actOf } from '../../identities/identities.ts'
import { announceIn } from '../announce.ts'
import { recordIssued } from '../apply.ts'
import type { CredentialNeeds } from '../needs.ts'
import { SSH } from './actions.ts'
import { signingAuthority, type SigningAuthority } from './authority.ts'
import { makeUserCertificate } from './certificate.ts'
import { sshKeyUnsuitable, sshRefused, SshSettings, type issueSshCertificate, type SshCertificate } from './contract.ts'
import { sshCertificateIssued } from './events.ts'
import { readSshPublicKey, type SshPublicKey } from './public-key.ts'
import { SSH_CERTIFICATE } from './writer.ts'

export type SshNeeds = Omit<CredentialNeeds, 'writers'> & AccessNeeds

type Input = z.output<(typeof issueSshCertificate)['input']>
type Asking = {
  readonly input: Input
  readonly proof: Caller['proof']
  readonly address: string
  readonly grant: Grant
}

/** Long enough to log in, and to try again; a session goes on behind it. */
const CERTIFICATE_SECONDS = 600
/** The clock of the host may be behind ours. */
const BACKDATED_SECONDS = 60
const NONCE_BYTES = 32
const ROOT = 'root'

/**
 * Signs a key for a host under the permit's grant. It is an admission: the key becomes a proof of the grant, a use is reserved and decided as
 * at a gateway, and it stays open until the certificate has run out. The certificate says no more than the grant: the account at this one
 * host, from where the caller is, for minutes, one command where no shell was granted.
 */
export async function signForHost(
  db: Db,
  needs: SshNeeds,
  permit: Permit<'ssh-certificate.issue'>,
  asking: Asking,
): Promise<z.output<typeof SshCertificate>> {
  const key = readSshPublicKey(asking.input.publicKey)
  if (!key) {
    throw sshKeyUnsuitable(
      'Send a public key as OpenSSH writes it: Ed25519, ECDSA, a security key, or RSA of 2048 bits.',
      {},
    )
  }
  const keySha256 = sha256(key.blob)
  const authority = await signingAuthority(db, needs)
  await transact(db, (tx) =>
    issueKey(tx, needs, permit, { proof: asking.proof, isSingleUse: false, spkiSha256: keySha256 }),
  )
  const facts = await factsOf(db, needs, asking, keySha256)
  const terms = termsOf(facts, asking)
  const taken = await transact(db, (tx) =>
    useGrant(tx, needs, { facts, address: asking.address, nodeId: needs.nodeId }),
  )
  if (taken.kind === 'refused') throw taken.problem
  try {
    const issued = await transact(db, (tx) =>
      enter(tx, needs, permit, { facts, terms, authority, keySha256, use: taken.value }),
    )
    return certificateOf(needs, { key, facts, terms, authority, ...issued })
  } catch (error) {
    await transact(db, (tx) => releaseUse(tx, needs, { useId: taken.value.id }))
    throw error
  }
}

async function factsOf(db: Db, needs: SshNeeds, { grant, address }: Asking, keySha256: Buffer): Promise<GrantFacts> {
  const proven = await proveGrant(db, needs, {
    proof: { kind: 'key', spkiSha256: keySha256 },
    address,
    targetName: grant.target,
    accountName: grant.account,
  })
  if (proven.kind === 'refused') throw useRefused(proven.refusal.sentence, { code: proven.refusal.code })
  return proven.facts
}

type Terms = Pick<z.output<typeof SshCertificate>, 'principals' | 'sourceAddresses' | 'command' | 'host' | 'port'> & {
  readonly principals: readonly [string]
  readonly hostKeys: readonly string[]
  readonly hasTerminal: boolean
  readonly readsRevocations: boolean
}

/** What the certificate will say; throws `sshRefused` where the grant does not carry it. */
function termsOf({ grant, target, account }: GrantFacts, { input, address }: Asking): Terms {
  const refused = (sentence: string) => sshRefused(sentence, { grantId: grant.id })
  if (target.protocol !== SSH) throw refused(`${target.name} is no host that is reached by SSH.`)
  if (account.mode !== 'lease') throw refused(`${account.name}@${target.name} has a standing credential of its own.`)
  const settings = SshSettings.parse(target.settings)
  const covers = (action: string) => grant.actions.includes(action)
  if (account.name === ROOT && !covers('ssh.root'))
    throw refused('The account is root, and the grant does not cover ssh.root.')
  const hasShell = covers('ssh.shell') || covers('ssh.root')
  if (!hasShell && input.command === undefined) {
    throw refused('The grant covers no shell: say which command the certificate is to run.')
  }
  return {
    // Not the account alone: every host that trusts the key would let it in.
    principals: [`${account.name}@${target.name}`],
    sourceAddresses: input.sourceAddresses ?? [plainAddress(address)],
    command: input.command ?? null,
    hasTerminal: hasShell && input.command === undefined,
    host: settings.host,
    port: settings.port,
    hostKeys: settings.hostKeys,
    readsRevocations: settings.readsRevocations,
  }
}

type Entering = {
  readonly facts: GrantFacts
  readonly terms: Terms
  readonly authority: SigningAuthority
  readonly keySha256: Buffer
  readonly use: Use
}
type Entered = {
  readonly leaseId: string
  readonly serial: bigint
  readonly validAfter: Date
  readonly validBefore: Date
}

/** The lease of the grant, the certificate's row and the use that it is, in one transaction: nothing is signed that is not entered. */
async function enter(
  tx: Tx,
  needs: SshNeeds,
  permit: Permit<'ssh-certificate.issue'>,
  { facts, terms, authority, keySha256, use }: Entering,
): Promise<Entered> {
  const { grant } = facts
  const now = needs.clock.now()
  const wanted = secondsAfter(now, CERTIFICATE_SECONDS)
  const validBefore = wanted < grant.expiresAt ? wanted : grant.expiresAt
  const leaseId = (await usableLease(tx, grant.id)) ?? (await openLease(tx, needs, facts, { ...terms, validBefore }))
  const { principals, sourceAddresses, command } = terms
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: sshCertificateIssued,
    grantId: grant.id,
    facts: {
      leaseId,
      useId: use.id,
      authorityId: authority.id,
      keySha256: keySha256.toString('hex'),
      principals: [...principals],
      sourceAddresses,
      command,
      validBefore,
    },
  })
  const { serial } = await tx
    .insertInto('sshCertificate')
    .values({ leaseId, useId: use.id, authorityId: authority.id, keySha256, validBefore, issuedAt: now, cause })
    .returning('serial')
    .executeTakeFirstOrThrow()
  await tx.updateTable('lease').set({ residualBefore: validBefore, cause }).where('id', '=', leaseId).execute()
  if (!(await beginUse(tx, needs, { useId: use.id, cause }))) {
    throw useRefused('The grant ended meanwhile.', { code: 'over' })
  }
  return { leaseId, serial: BigInt(serial), validAfter: secondsAfter(now, -BACKDATED_SECONDS), validBefore }
}

async function usableLease(tx: Tx, grantId: string): Promise<string | undefined> {
  const row = await tx
    .selectFrom('lease')
    .select('id')
    .where('grantId', '=', grantId)
    .where('kind', '=', SSH_CERTIFICATE)
    .where('state', '=', 'issued')
    .forUpdate()
    .executeTakeFirst()
  return row?.id
}

async function openLease(
  tx: Tx,
  needs: SshNeeds,
  { grant, account }: GrantFacts,
  terms: Terms & { readonly validBefore: Date },
): Promise<string> {
  const [principal] = terms.principals
  const revocability = terms.readsRevocations ? 'next-login' : 'expires-only'
  const id = newId(needs.clock, needs.random)
  const planned = { principal, revocability } as const
  await announceIn(tx, needs, grant, {
    id,
    kind: SSH_CERTIFICATE,
    account: {
      protocol: SSH,
      mode: 'lease',
      settings: {},
      terms: {
        account: account.name,
        roles: [],
        databases: [],
        validUntil: grant.expiresAt,
        connections: grant.maxConnections,
      },
    },
    planned,
  })
  await recordIssued(tx, needs, grant, { id, planned, applied: { details: {}, validBefore: terms.validBefore } })
  return id
}

function certificateOf(
  { random }: Pick<SshNeeds, 'random'>,
  made: Entered & Pick<Entering, 'facts' | 'terms' | 'authority'> & { readonly key: SshPublicKey },
): z.output<typeof SshCertificate> {
  const { facts, terms, authority, key, leaseId, serial, validAfter, validBefore } = made
  const { grant, account, target } = facts
  const { principals, sourceAddresses, command, hasTerminal, host, port } = terms
  const keyId = `${grant.id}/${leaseId}/${facts.subject.name}`
  const body = { key, serial, keyId, principals, validAfter, validBefore, sourceAddresses, command, hasTerminal }
  return {
    leaseId,
    grantId: grant.id,
    serial: String(serial),
    keyId,
    certificate: `${makeUserCertificate({ ...body, nonce: random.bytes(NONCE_BYTES) }, authority.signer)} ${principals[0]}`,
    login: account.name,
    host,
    port,
    // An alias of its own, so that no other entry of the caller's counts.
    knownHosts: terms.hostKeys.map((line) => `${target.name} ${line.split(' ').slice(0, 2).join(' ')}`),
    principals: [...principals],
    sourceAddresses,
    command,
    validBefore,
  }
}

/** Node writes an IPv4 caller of a dual-stack socket as `::ffff:192.0.2.1`; sshd knows it as IPv4. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}
