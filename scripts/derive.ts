import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { deferral, events, operations } from '../src/contracts.ts'
import { configReference } from '../src/kernel/config.ts'
import { clientConfig, type Connection } from '../src/kernel/db.ts'
import { openApiDocument } from '../src/kernel/http/openapi.ts'
import { eventsReference, problemsReference } from '../src/kernel/reference.ts'
import { schemaDump } from './schema-dump.ts'
import { schemaTypes } from './schema-types.ts'

export const ROOT = join(import.meta.dirname, '..')

/** Every derived file by its path, from a migrated database and the contracts. */
export async function derive(owner: Connection): Promise<ReadonlyMap<string, string>> {
  const schema = await deriveSchema(owner)
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  return new Map([
    ...schema,
    [
      'docs/reference/openapi.json',
      `${JSON.stringify(openApiDocument(operations, String(version), deferral), null, 2)}\n`,
    ],
    ['docs/reference/problems.md', problemsReference(operations, deferral.problems)],
    ['docs/reference/events.md', eventsReference(events)],
    ['docs/reference/config.md', configReference()],
  ])
}

async function deriveSchema(owner: Connection): Promise<[string, string][]> {
  const client = new pg.Client(clientConfig(owner))
  await client.connect()
  try {
    return [
      ['src/kernel/schema.gen.ts', await schemaTypes(client)],
      ['docs/reference/schema.sql', await schemaDump(client)],
    ]
  } finally {
    await client.end()
  }
}
