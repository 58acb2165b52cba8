import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createAnalyser, defaultAnalyserLimits } from './analyse.ts'
import { BoundedCache } from './bounded-cache.ts'
import { UnreadableSql } from './class.ts'
import { examples, joined } from './statements.fixture.ts'

const analyser = await createAnalyser()
const analyse = (sql: string) => analyser.analyse(sql)
const all = Object.values(examples).flat()

for (const [expected, statements] of Object.entries(examples))
  test(`what is ${expected} is found to be so`, () => {
    for (const sql of statements) assert.equal(analyse(sql).class, expected, sql)
  })

test('the examples are many', () => {
  assert.ok(new Set(all).size >= 240, String(new Set(all).size))
})

test('a statement needs every class that anything in it needs', () => {
  for (const [sql, needs] of Object.entries(joined))
    assert.deepEqual(
      analyse(sql).needs.filter((name) => name !== 'read'),
      needs,
      sql,
    )
})

test('several statements are judged one by one', () => {
  const { statements } = analyse('begin; select a from b; delete from only s.t; commit')

  assert.deepEqual(
    statements.map(({ kind, class: name, tables }) => [kind, name, ...tables]),
    [
      ['BEGIN', 'transaction'],
      ['SELECT', 'read', 'b'],
      ['DELETE', 'write', 's.t'],
      ['COMMIT', 'transaction'],
    ],
  )
})

test('statements have names that people know', () => {
  const kinds = [
    'create table a (b int)',
    'drop index i',
    'alter table a add b int',
    'reset all',
    'refresh materialized view m',
  ]

  assert.deepEqual(
    kinds.map((sql) => analyse(sql).statements[0]?.kind),
    ['CREATE TABLE', 'DROP INDEX', 'ALTER TABLE', 'RESET', 'REFRESH MATERIALIZED VIEW'],
  )
})

test('names that an older server would take for functions of its users are told', () => {
  assert.equal(analyse("select json_array('a')").assumesMajor, 16)
  assert.equal(analyse("select json_value('{}', '$.a')").assumesMajor, 17)
  assert.equal(analyse('select uuidv7()').assumesMajor, 18)
  assert.equal(analyse('select now()').assumesMajor, 0)
})

function refusal(sql: string): UnreadableSql {
  try {
    analyse(sql)
  } catch (error) {
    assert.ok(error instanceof UnreadableSql, String(error))
    return error
  }
  return assert.fail(`was read: ${sql.slice(0, 80)}`)
}

test('what the grammar refuses is refused with the position, in characters', () => {
  assert.deepEqual([refusal("select 'é'; selec 1").code, refusal("select 'é'; selec 1").position], ['42601', 13])
  assert.equal(refusal("select 'open").code, '42601')
})

test('a NUL or half a character in a text is refused, for the parser and the server would disagree', () => {
  assert.equal(refusal('select 1\0; drop table t').code, '22021')
  assert.equal(refusal('select \ud800').code, '22021')
})

test('a statement of a megabyte is decided on and a longer one refused', () => {
  const filler = "insert into t values ('', '')"
  const longest = filler.replace("''", `'${'x'.repeat(defaultAnalyserLimits.statementBytes - filler.length)}'`)

  assert.equal(Buffer.byteLength(longest), defaultAnalyserLimits.statementBytes)
  assert.equal(analyse(longest).class, 'write')
  assert.equal(refusal(`${longest} `).code, '54000')
  assert.equal(refusal(`-- é${'é'.repeat(defaultAnalyserLimits.statementBytes / 2)}`).code, '54000')
})

test('nesting bombs are refused and the parser goes on', async () => {
  const bombs = [
    `select ${'('.repeat(50_000)}1${')'.repeat(50_000)}`,
    `select 1${'+1'.repeat(100_000)}`,
    `select ${'(select '.repeat(2000)}1${')'.repeat(2000)}`,
    `select 1${' union select 1'.repeat(50_000)}`,
    `select ${'case when true then '.repeat(30_000)}1`,
    `select ${'not '.repeat(100_000)}true`,
    `select ${'array['.repeat(100_000)}`,
    `select a${'.b'.repeat(200_000)}`,
    `select 1${'::int'.repeat(100_000)}`,
    `${'begin;'.repeat(1000)}${'explain '.repeat(50_000)}select 1`,
  ]

  for (const bomb of bombs) {
    try {
      analyse(bomb)
    } catch (error) {
      assert.ok(error instanceof UnreadableSql, String(error))
    }
    assert.equal(analyse(`select f${bomb.length}()`).class, 'write')
    // The spare is made before the next event.
    await new Promise((resolve) => setImmediate(resolve))
  }
})

test('literals leave the text and can be put back', () => {
  const sql = `select $2, 'it''s', 42, E'a\\'b', $x$ y $x$, 1.5e3, x'1F', U&'d\\0061' /* who */ -- why`

  const { normalised, literals, firstNumber } = analyse(sql)

  assert.equal(normalised.trimEnd(), 'select $2, $3, $4, $5, $6, $7, $8, $9')
  assert.equal(firstNumber, 3)
  assert.deepEqual(literals, ["'it''s'", '42', "E'a\\'b'", '$x$ y $x$', '1.5e3', "x'1F'", "U&'d\\0061'"])
})

test('passwords are in neither the text nor the literals', () => {
  for (const sql of [
    "alter role x password 'hunter2'",
    "alter role x password 'hun' \n 'hunter2'",
    "create user x with encrypted password E'hunter2' valid until 'tomorrow'",
    'alter role x password $$hunter2$$',
    "insert into users (name, password) values ('a', 'hunter2')",
    'select * from t where "Password" = \'hunter2\'',
    "select dblink('host=x password=hunter2')",
    "create user mapping for u server s options (user 'a', password 'hunter2')",
    "do $$ begin execute 'alter role x password ''hunter2'''; end $$",
    "alter role x password /* hunter2 */ 'hunter2'",
  ]) {
    const { normalised, literals } = analyse(sql)

    assert.doesNotMatch(normalised + literals.join(), /hunter2/, sql)
  }
  assert.equal(analyse('update users set password = $1 where id = $2').isSensitive, true)
})

const literalText = fc.oneof(
  fc.nat().map(String),
  fc.string({ maxLength: 12 }).map((text) => `'${text.replaceAll('\0', '').replaceAll("'", "''")}'`),
)
const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...all) },
  { weight: 3, arbitrary: literalText },
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom(
    "'",
    '"',
    '$$',
    '$1',
    '--',
    '/*',
    '*/',
    "E'",
    'U&"',
    '\\',
    ';',
    '\n',
    ' union ',
    ' from ',
    ' , ',
    '(',
    ')',
  ),
)

test('any text is analysed or refused with the typed error, and the same twice', async () => {
  const fresh = await createAnalyser()
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 5 }), (pieces) => {
      const sql = pieces.join(' ')
      const outcome = (which: typeof analyser) => {
        try {
          return which.analyse(sql)
        } catch (error) {
          assert.ok(error instanceof UnreadableSql, String(error))
          return [error.code, error.message, error.position]
        }
      }
      const first = outcome(analyser)

      assert.deepEqual(outcome(analyser), first)
      assert.deepEqual(outcome(fresh), first)
    }),
    { numRuns: 400 },
  )
})

test('a decision shared by shape is the one the text would have got by itself', async () => {
  const templates = all.filter((sql) => /[0-9']/.test(sql))
  const uncached = await createAnalyser({ ...defaultAnalyserLimits, cacheBytes: 0 })
  const value = fc.oneof(
    fc.constantFrom('role', 'standard_conforming_strings', 'off', 'set_config', '--', '/*', ';', '\\', "'';''"),
    fc.string({ maxLength: 6 }).map((text) => text.replaceAll('\0', '').replaceAll("'", "''")),
  )
  fc.assert(
    fc.property(fc.constantFrom(...templates), value, fc.nat(), (template, text, digits) => {
      const sql = template.replaceAll(/'[^'\\]*'/g, () => `'${text}'`).replaceAll(/\b[0-9]+\b/g, String(digits))
      const verdict = (which: typeof analyser) => {
        try {
          const { statements, needs, normalised, literals } = which.analyse(sql)
          return { statements, needs, normalised, literals }
        } catch (error) {
          assert.ok(error instanceof UnreadableSql, String(error))
          return error.message
        }
      }

      assert.deepEqual(verdict(analyser), verdict(uncached))
    }),
    { numRuns: 1500 },
  )
})

test('the cache keeps within its bytes and drops what was not used', () => {
  const cache = new BoundedCache<number>(20_000)
  for (let index = 0; index < 100; index++) {
    cache.set(`key ${index}`, index)
    cache.get('key 0')
  }

  assert.ok(cache.sizeBytes <= 20_000)
  assert.equal(cache.get('key 0'), 0)
  assert.equal(cache.get('key 1'), undefined)
  assert.equal(cache.get('key 99'), 99)
})
