import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { derive, ROOT } from '../scripts/derive.ts'
import { events, operations } from '../src/contracts.ts'
import { clientConfig } from '../src/kernel/db.ts'
import { freshDatabase } from './support/database.ts'

test('every derived file is what `npm run generate` would write', async (t) => {
  const { owner } = await freshDatabase(t)

  const derived = await derive(owner)

  assert.ok(derived.size >= 6)
  for (const [path, text] of derived) {
    assert.ok(readFileSync(join(ROOT, path), 'utf8') === text, `${path} is not current: run npm run generate`)
  }
})

test('a change of the schema changes what is derived', async (t) => {
  const { owner } = await freshDatabase(t)
  const client = new pg.Client(clientConfig(owner))
  await client.connect()
  await client.query('alter table target add column planted text')
  await client.end()

  const derived = await derive(owner)

  assert.match(derived.get('src/kernel/schema.gen.ts') ?? '', /planted: string \| null/)
  assert.match(derived.get('docs/reference/schema.sql') ?? '', /planted text/)
})

test('every operation and every event that is declared is listed', async () => {
  const listed = new Set<unknown>([...operations, ...events])
  const files = globSync('src/**/*.ts', { cwd: ROOT }).filter(
    (path) =>
      !/\.(test|fixture)\.ts$/.test(path) && /= (event|operation)\(/.test(readFileSync(join(ROOT, path), 'utf8')),
  )
  let declared = 0
  for (const file of files) {
    const exported: Record<string, unknown> = await import(join(ROOT, file))
    for (const [name, value] of Object.entries(exported)) {
      const isDeclared =
        typeof value === 'object' && value !== null && 'summary' in value && ('facts' in value || 'method' in value)
      if (!isDeclared) continue
      declared += 1
      assert.ok(listed.has(value), `${name} of ${file} is not in src/contracts.ts`)
    }
  }
  assert.ok(declared > 50, `only ${declared} were seen`)
})
