/**
 * Trust domains of others. Each is verified by its own bundle and by no other's; what is kept is the last good one, however long its endpoint is
 * away, and its age is shown. A bundle that goes back in its sequence, or holds an authority of another domain, is not taken.
 */
import { sql } from 'kysely'
import type { z } from 'zod'
import { actOf } from '../../identities/identities.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { EgressFailed, type Egress } from '../../kernel/egress.ts'
import { installation } from '../../kernel/http/route.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, nameTaken, notFound } from '../../kernel/problem.ts'
import { authoritiesPem, readSpiffeBundle, spiffeBundleText, type SpiffeBundle } from '../../kernel/spiffe-bundle.ts'
import { readSpiffeId } from '../../kernel/spiffe-id.ts'
import { translating } from '../../kernel/violation.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { SpiffeNeeds } from './authority.ts'
import { bundleText } from './bundle.ts'
import type { createTrustDomain, TrustDomain } from './federation-contract.ts'
import { trustDomainBundled, trustDomainCreated, trustDomainEnded } from './federation-events.ts'

export type FederationNeeds = Pick<SpiffeNeeds, 'clock' | 'random' | 'ledger'> & {
  readonly db: Db
  readonly egress: Egress
  /** Our own, where there is one: nobody else may be it. */
  readonly trustDomain: string | undefined
}

type OwnNeeds = Omit<SpiffeNeeds, 'trustDomain'> & { readonly db: Db; readonly trustDomain: string | undefined }

/** Where the endpoint gives no hint; and bounds on the hint that it gives. */
const REFRESH_SECONDS = 300
const LEAST_REFRESH_SECONDS = 60
const MOST_REFRESH_SECONDS = 3600
const RETRY_SECONDS = 30
const MOST_DOMAINS = 100
const TYPES = ['application/json', 'application/jwk-set+json', 'text/plain', 'application/octet-stream']

/** Begins to believe a domain. Its bundle comes with the first look at its endpoint. */
export async function federate(
  tx: Tx,
  needs: FederationNeeds,
  permit: Permit<'trust-domain.create'>,
  input: z.output<typeof createTrustDomain.input>,
): Promise<TrustDomain> {
  const { name, bundleUrl, profile, endpointId } = input
  if (name === needs.trustDomain) throw invalid('name', 'this is our own trust domain')
  if ((profile === 'https_spiffe') !== (endpointId !== undefined && input.bundle !== undefined)) {
    throw invalid('profile', 'https_spiffe, and only it, needs endpointId and the bundle to begin with')
  }
  if (endpointId !== undefined && !readSpiffeId(endpointId)?.path) throw invalid('endpointId', 'this is no SPIFFE ID')
  if (endpointId !== undefined && readSpiffeId(endpointId)?.trustDomain !== name) {
    throw invalid('endpointId', 'the endpoint has to be of the trust domain itself')
  }
  mayBeAsked(needs.egress, bundleUrl)
  const bundle = input.bundle === undefined ? undefined : readSpiffeBundle(input.bundle, name)
  if (input.bundle !== undefined && !bundle?.authorities.length)
    throw invalid('bundle', 'this is no bundle of the domain')
  await sql`select pg_advisory_xact_lock(hashtext('foreign_domain'))`.execute(tx)
  const { count } = await tx
    .selectFrom('foreignDomain')
    .select((is) => is.fn.countAll<number>().as('count'))
    .where('endedAt', 'is', null)
    .executeTakeFirstOrThrow()
  if (count >= MOST_DOMAINS) throw invalid('name', `there are ${MOST_DOMAINS} of them already`)
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: trustDomainCreated,
    facts: { name, bundleUrl, profile, endpointId: endpointId ?? null },
  })
  const row = {
    bundleUrl,
    profile,
    endpointId: endpointId ?? null,
    bundle: bundle ? spiffeBundleText(bundle) : null,
    sequence: bundle?.sequence ?? null,
    refreshSeconds: REFRESH_SECONDS,
    bundledAt: bundle ? now : null,
    createdAt: now,
    endedAt: null,
    cause,
  }
  const taken = () => nameTaken('This trust domain is believed already.', { type: 'TrustDomain', name })
  await translating({ foreign_domain_pkey: taken }, async () => {
    // One that ended may begin again, with nothing of before.
    const again = await tx
      .updateTable('foreignDomain')
      .set(row)
      .where('name', '=', name)
      .where('endedAt', 'is not', null)
      .executeTakeFirst()
    if (again.numUpdatedRows === 0n)
      await tx
        .insertInto('foreignDomain')
        .values({ name, ...row })
        .execute()
  })
  await tx
    .insertInto('foreignDomainPoll')
    .values({ name, askedAt: null, fetchedAt: null, nextAt: now, failure: null })
    .execute()
  return findDomain(tx, name)
}

function mayBeAsked(egress: Egress, url: string): void {
  try {
    egress.check(url)
  } catch (error) {
    if (error instanceof EgressFailed) throw invalid('bundleUrl', error.message)
    throw error
  }
}

export async function endDomain(
  tx: Tx,
  needs: FederationNeeds,
  permit: Permit<'trust-domain.end'>,
  { name, reason }: { readonly name: string; readonly reason: string },
): Promise<TrustDomain> {
  await findDomain(tx, name)
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: trustDomainEnded, facts: { name, reason } })
  const ended = await tx
    .updateTable('foreignDomain')
    .set({ endedAt: needs.clock.now(), cause })
    .where('name', '=', name)
    .where('endedAt', 'is', null)
    .executeTakeFirst()
  if (ended.numUpdatedRows !== 1n) throw overAlready(name)
  await tx.deleteFrom('foreignDomainPoll').where('name', '=', name).execute()
  return findDomain(tx, name)
}

function overAlready(name: string) {
  return conflict('The trust domain is believed no more.', { type: 'TrustDomain', id: name, state: 'ended' })
}

/** Asks for the bundles that are due, of which other nodes take others. */
export async function refreshDue(needs: FederationNeeds, signal: AbortSignal): Promise<void> {
  for (;;) {
    const now = needs.clock.now()
    const [due] = await needs.db
      .updateTable('foreignDomainPoll')
      .set({ askedAt: now, nextAt: secondsAfter(now, RETRY_SECONDS) })
      .where('name', '=', (is) =>
        is
          .selectFrom('foreignDomainPoll')
          .select('name')
          .where('nextAt', '<=', now)
          .orderBy('nextAt')
          .limit(1)
          .forUpdate()
          .skipLocked(),
      )
      .returning('name')
      .execute()
    if (!due || signal.aborted) return
    await refresh(needs, due.name, signal)
  }
}

/** Asks for one bundle now. Where that brings none the answer says why, and what was good goes on. */
export async function refresh(needs: FederationNeeds, name: string, signal: AbortSignal): Promise<TrustDomain> {
  const { db, clock } = needs
  const seen = await db.selectFrom('foreignDomain').selectAll().where('name', '=', name).executeTakeFirst()
  if (!seen) throw unknown(name)
  if (seen.endedAt !== null) throw overAlready(name)
  try {
    const bundle = readSpiffeBundle(await fetched(needs, seen, signal), name)
    if (!bundle || name === needs.trustDomain) throw new EgressFailed('type', 'It is no bundle of this trust domain.')
    await transact(db, (tx) => take(tx, needs, name, bundle))
  } catch (error) {
    if (!(error instanceof EgressFailed)) throw error
    const at = clock.now()
    const told = { askedAt: at, failure: error.message.slice(0, 500), nextAt: secondsAfter(at, RETRY_SECONDS) }
    await db.updateTable('foreignDomainPoll').set(told).where('name', '=', name).execute()
  }
  return findDomain(db, name)
}

type Row = {
  readonly name: string
  readonly bundleUrl: string
  readonly endpointId: string | null
  readonly bundle: string | null
}

async function fetched(needs: FederationNeeds, row: Row, signal: AbortSignal): Promise<string> {
  const known = row.bundle === null ? undefined : readSpiffeBundle(row.bundle, row.name)
  // Federation §5.2.2: by the bundle that is known, and by the one SPIFFE ID that the endpoint has.
  const proof = row.endpointId === null ? {} : { ca: known ? authoritiesPem(known) : '', spiffeId: row.endpointId }
  const { status, body } = await needs.egress.ask(row.bundleUrl, { types: TYPES, ...proof }, signal)
  if (status !== 200) throw new EgressFailed('unreachable', `The endpoint answered ${status}.`)
  return body.toString('utf8')
}

async function take(tx: Tx, needs: FederationNeeds, name: string, bundle: SpiffeBundle): Promise<void> {
  const seen = await tx
    .selectFrom('foreignDomain')
    .select(['bundle', 'sequence'])
    .where('name', '=', name)
    .where('endedAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!seen) throw overAlready(name)
  const { sequence } = bundle
  // Trust Domain and Bundle §4.1.2: it only grows. Somebody who shows an older one wants keys back that were taken out.
  if (seen.sequence !== null && (sequence === undefined || sequence < seen.sequence)) {
    throw new EgressFailed('type', `The bundle went back from ${seen.sequence} to ${sequence ?? 'no number'}.`)
  }
  const text = spiffeBundleText(bundle)
  const now = needs.clock.now()
  const every = Math.min(
    Math.max(bundle.refreshSeconds ?? REFRESH_SECONDS, LEAST_REFRESH_SECONDS),
    MOST_REFRESH_SECONDS,
  )
  if (text !== seen.bundle) {
    const facts = { authorities: bundle.authorities.length, jwtKeys: bundle.jwtKeys.length }
    const bundleSha256 = sha256(text).toString('hex')
    const cause = await needs.ledger.record(tx, {
      event: trustDomainBundled,
      actor: SYSTEM,
      resource: installation(),
      outcome: 'done',
      facts: { name, sequence: sequence ?? null, bundleSha256, ...facts },
    })
    await tx
      .updateTable('foreignDomain')
      .set({ bundle: text, sequence: sequence ?? null, refreshSeconds: every, bundledAt: now, cause })
      .where('name', '=', name)
      .execute()
  }
  const next = { askedAt: now, fetchedAt: now, nextAt: secondsAfter(now, every), failure: null }
  await tx.updateTable('foreignDomainPoll').set(next).where('name', '=', name).execute()
}

/** What verifies documents of a domain, our own or one of others; undefined while nothing of it is believed. */
export async function trustBundle(needs: OwnNeeds, name: string): Promise<SpiffeBundle | undefined> {
  const { db, trustDomain } = needs
  if (name === trustDomain) return readSpiffeBundle(await bundleText(db, { ...needs, trustDomain }), name)
  const row = await db
    .selectFrom('foreignDomain')
    .select('bundle')
    .where('name', '=', name)
    .where('endedAt', 'is', null)
    .executeTakeFirst()
  return row?.bundle ? readSpiffeBundle(row.bundle, name) : undefined
}

/** All of them as text, for workloads. */
export async function federatedBundles(db: Db): Promise<{ trustDomain: string; bundle: string }[]> {
  const rows = await db
    .selectFrom('foreignDomain')
    .select(['name', 'bundle'])
    .where('endedAt', 'is', null)
    .orderBy('name')
    .execute()
  return rows.flatMap(({ name, bundle }) => (bundle === null ? [] : [{ trustDomain: name, bundle }]))
}

export async function listDomains(db: Db): Promise<{ items: TrustDomain[] }> {
  const rows = await domains(db)
    .orderBy('foreignDomain.name')
    .limit(MOST_DOMAINS * 2)
    .execute()
  return { items: rows.map(shownOf) }
}

async function findDomain(db: Db, name: string): Promise<TrustDomain> {
  const row = await domains(db).where('foreignDomain.name', '=', name).executeTakeFirst()
  if (!row) throw unknown(name)
  return shownOf(row)
}

function unknown(name: string) {
  return notFound('There is no such trust domain.', { type: 'TrustDomain', id: name })
}

function domains(db: Db) {
  return db
    .selectFrom('foreignDomain')
    .leftJoin('foreignDomainPoll', 'foreignDomainPoll.name', 'foreignDomain.name')
    .select([
      'foreignDomain.name',
      'foreignDomain.bundleUrl',
      'foreignDomain.profile',
      'foreignDomain.endpointId',
      'foreignDomain.bundle',
      'foreignDomain.sequence',
      'foreignDomain.bundledAt',
      'foreignDomain.createdAt',
      'foreignDomain.endedAt',
      'foreignDomainPoll.askedAt',
      'foreignDomainPoll.fetchedAt',
      'foreignDomainPoll.failure',
    ])
}

function shownOf({
  bundle,
  ...row
}: Awaited<ReturnType<ReturnType<typeof domains>['executeTakeFirstOrThrow']>>): TrustDomain {
  const read = bundle === null ? undefined : readSpiffeBundle(bundle, row.name)
  return { ...row, authorities: read?.authorities.length ?? 0, jwtKeys: read?.jwtKeys.length ?? 0 }
}
