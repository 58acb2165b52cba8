import { z } from 'zod'
import { findTarget } from '../../catalog/catalog.ts'
import type { Connector } from '../../connectors/connector.ts'
import { actOf } from '../../identities/identities.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, invalidInput, nameTaken } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { translating } from '../../kernel/violation.ts'
import { sourceRegistered, sourceRetired, sourceUpdated } from '../events.ts'
import { forgetAll } from './inbox.ts'
import type { InventoryNeeds } from '../needs.ts'
import { openSource, sealPlace } from './open-source.ts'
import { cutOff } from '../reading/reading.ts'
import {
  sourceUnreachable,
  unknownConnector,
  type RegisterSource,
  type Source,
  type SourceProbe,
  type UpdateSource,
} from '../schemas.ts'
import { sentenceOf } from '../reading/scope-run.ts'
import { loadSource, SOURCE_COLUMNS, sourceFrom, type SourceRecord } from './source-records.ts'

/** Registers a system for a connector to read. Its login is sealed for this row and no answer holds it. */
export async function registerSource(
  tx: Tx,
  needs: InventoryNeeds,
  permit: Permit<'source.register'>,
  input: RegisterSource,
): Promise<Source> {
  const connector = connectorOf(needs, input.connector)
  const settings = settingsOf(connector, input.settings)
  const credential = credentialOf(connector, input.credential)
  if (!needs.teams.has(input.ownerTeam)) throw invalid('ownerTeam', 'there is no such team')
  const { name, ownerTeam, environment, schedule } = input
  const target = input.target === undefined ? null : await findTarget(tx, input.target)
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: sourceRegistered,
    resource: { type: 'Source', id },
    facts: {
      name,
      connector: input.connector,
      address: connector.address(settings),
      settings,
      hasCredential: credential !== undefined,
      schedule,
      environment,
      ownerTeam,
      targetId: target?.id ?? null,
    },
  })
  const meanings = {
    source_name_is_unique: () => nameTaken(`There is a source ${name} already.`, { type: 'Source', name }),
  }
  const row = await translating(meanings, () =>
    tx
      .insertInto('source')
      .values({
        id,
        name,
        connector: input.connector,
        settings: JSON.stringify(settings),
        sealedCredential: credential ? needs.seal.seal(credential, sealPlace(id)) : null,
        targetId: target?.id ?? null,
        ownerTeam,
        environment,
        schedule,
        nextReadAt: schedule === 'never' ? null : now,
        createdAt: now,
        cause,
      })
      .returning(SOURCE_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
  return sourceFrom(row)
}

/**
 * Changes a source, which is read again soon. Its login is for where it was given for: another place needs it again, or whoever may change sources
 * could have it sent to themselves. Another system is another source, which a reading finds out.
 */
export async function updateSource(
  tx: Tx,
  needs: InventoryNeeds,
  permit: Permit<'source.update'>,
  input: UpdateSource,
): Promise<Source> {
  const seen = await loadSource(tx, permit.resource.id)
  const { id, name } = seen
  if (seen.state !== 'active') throw isRetired(seen)
  const connector = connectorOf(needs, seen.connector)
  const settings = settingsOf(connector, input.settings ?? seen.settings)
  const credential = input.credential === undefined ? undefined : credentialOf(connector, input.credential)
  if (input.settings !== undefined && connector.credential && !credential) {
    throw invalid('credential', 'give the login again: what is read with it, or how, is different')
  }
  const { ownerTeam = seen.ownerTeam, environment = seen.environment, schedule = seen.schedule } = input
  if (!needs.teams.has(ownerTeam)) throw invalid('ownerTeam', 'there is no such team')
  const kept = { settings, schedule, environment, ownerTeam }
  const facts = { name, address: connector.address(settings), isLoginReplaced: credential !== undefined, ...kept }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: sourceUpdated, facts })
  const row = await tx
    .updateTable('source')
    .set({
      ...kept,
      settings: JSON.stringify(settings),
      ...(credential && { sealedCredential: needs.seal.seal(credential, sealPlace(id)) }),
      nextReadAt: schedule === 'never' ? null : needs.clock.now(),
      version: seen.version + 1,
      cause,
    })
    .where('id', '=', id)
    .where('version', '=', seen.version)
    .returning(SOURCE_COLUMNS)
    .executeTakeFirst()
  if (!row) throw conflict('Somebody else changed the source. Try again.', { type: 'Source', id, state: seen.state })
  return sourceFrom(row)
}

/** Ends a source: it is not read any more, nor to the end where it is read now, and what it told is marked as no longer watched. */
export async function retireSource(tx: Tx, needs: InventoryNeeds, permit: Permit<'source.retire'>): Promise<Source> {
  const seen = await loadSource(tx, permit.resource.id)
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: sourceRetired, facts: { name: seen.name } })
  const row = await tx
    .updateTable('source')
    .set({ state: 'retired', nextReadAt: null, sealedCredential: null, version: seen.version + 1, cause })
    .where('id', '=', seen.id)
    .where('state', '=', 'active')
    .returning(SOURCE_COLUMNS)
    .executeTakeFirst()
  if (!row) throw isRetired(seen)
  // A scope that enters the inventory holds its row before it holds the reading.
  await tx.selectFrom('sourceScope').select('id').where('sourceId', '=', seen.id).orderBy('id').forUpdate().execute()
  await cutOff(tx, seen.id, { now: needs.clock.now(), cause })
  await tx
    .updateTable('sourceScope')
    .set((is) => ({ state: 'retired', version: is('version', '+', 1), cause }))
    .where('sourceId', '=', seen.id)
    .where('state', '=', 'active')
    .execute()
  await forgetAll(tx, seen.id)
  return sourceFrom(row)
}

/** Asks the source what would be visible. Changes nothing and keeps nothing. */
export async function probeSource(
  db: Db,
  needs: InventoryNeeds,
  permit: Permit<'source.probe'>,
  signal: AbortSignal,
): Promise<SourceProbe> {
  const record = await loadSource(db, permit.resource.id)
  if (record.state !== 'active') throw isRetired(record)
  try {
    await using source = await openSource(db, needs, record, signal)
    const { authority, system, scopes } = await source.probe(signal)
    return {
      sourceId: record.id,
      authority,
      system,
      scopes: scopes.map(({ scope, isVisible, missing }) => ({ scope, isVisible, missing: [...missing] })),
    }
  } catch (error) {
    signal.throwIfAborted()
    throw sourceUnreachable(
      `The source could not be asked: ${sentenceOf(error)}.`,
      { sourceId: record.id },
      { cause: error },
    )
  }
}

function isRetired({ id, state }: SourceRecord) {
  return conflict('The source is retired.', { type: 'Source', id, state })
}

function connectorOf(needs: InventoryNeeds, id: string): Connector {
  const connector = needs.connectors.get(id)
  if (!connector)
    throw unknownConnector(`There is no connector ${id}.`, { connector: id, known: [...needs.connectors.keys()] })
  return connector
}

function settingsOf(connector: Connector, given: unknown): Record<string, unknown> {
  return z.record(z.string(), z.unknown()).parse(parsed(connector.settings, given, 'settings'))
}

function credentialOf(connector: Connector, given: unknown): Secret | undefined {
  if (!connector.credential) {
    if (given !== undefined) throw invalid('credential', 'this connector needs none')
    return undefined
  }
  return new Secret(JSON.stringify(parsed(connector.credential, given, 'credential')))
}

function parsed(schema: z.ZodType, given: unknown, at: string): unknown {
  const result = schema.safeParse(given)
  if (result.success) return result.data
  const issues = result.error.issues.map(({ path, message }) => ({ path: [at, ...path].join('.'), message }))
  throw invalidInput(`The input is not valid: ${issues[0]?.path ?? at}: ${issues[0]?.message ?? ''}.`, { issues })
}
