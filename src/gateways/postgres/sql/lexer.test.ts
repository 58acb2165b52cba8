import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { loadModule, scanSync } from 'libpg-query'
import { lex } from './lexer.ts'
import { finishPlain, lexPlain } from './plain.ts'
import { examples } from './statements.fixture.ts'

await loadModule()

/** FCONST, SCONST, USCONST, BCONST, XCONST and ICONST of gram.h. */
const literalTokens = new Set([260, 261, 262, 263, 264, 266])

/** The literals that the server's own lexer finds; undefined where it finds an error. */
function literalsByServer(sql: string): string[] | undefined {
  try {
    const bytes = Buffer.from(sql)
    return scanSync(sql)
      .tokens.filter((token) => literalTokens.has(token.tokenType))
      .map((token) => bytes.toString('utf8', token.start, token.end))
  } catch {
    return undefined
  }
}

const withoutPasswords = (sql: string) => !/passw|pwd|secret|SCRAM/i.test(sql)
const all = Object.values(examples).flat().filter(withoutPasswords)
const part = fc.oneof(
  fc.constantFrom(...all),
  fc.constantFrom(
    "'a'",
    "''''",
    "'a'\n 'b'",
    "'a' -- c\n 'd'",
    "'a'\n--c\n 'd'",
    "E'\\''",
    "e'\\\\'",
    "E'a'\n'\\'b'",
    "U&'\\0061'",
    "u&'x' uescape '!'",

    "b'01'",
    "X'1F'",
    "n'x'",
    '$$a$$',
    '$t$ $$ $t$',
    '$1',
    'a$1',
    '$a',
    '1',
    '1.5',
    '.5',
    '1.',
    '1..2',
    '1e5',
    '1e+5',
    '1_000',

    '0x1F',
    '0b1',
    '0o7',
    'a.1',
    '"a""b"',
    'U&"\\0061"',
    '/* a /* b */ c */',
    '-- x\n',
    '--',
    '/*',
    "'",
    '"',
    '\\',
    '*/',

    'é',
    'a1',
    '_',
    ' ',
    '\n',
    '\t',
    '+',
    '-',
    '/',
    '*',
    '&',
    '@-',
    '+-/',
    ';',
    '::',
    ':=',
    '[1]',
    'x\u00a0y',
    '😀',
  ),
  fc.nat().map(String),
  fc.string({ maxLength: 5 }).map((text) => text.replaceAll('\0', '')),
)
// scan.l lets a comment stand where a string goes on; the package's scanner, which reports comments, does not.
const isContinuedOverComment = /'\s*--[^\n]*\n\s*(--[^\n]*\n\s*)*'/
const sqlText = fc
  .tuple(fc.array(part, { maxLength: 6 }), fc.constantFrom('', ' '))
  .map(([parts, glue]) => parts.join(glue))
  .filter((sql) => withoutPasswords(sql) && sql !== '' && !isContinuedOverComment.test(sql))

test('the literals taken out are those that the server’s own lexer finds', () => {
  fc.assert(
    fc.property(sqlText, (sql) => {
      const expected = literalsByServer(sql)
      fc.pre(expected !== undefined)

      const { literals } = lex(sql)

      // The server hands N'' over as the word N and a string.
      assert.deepEqual(
        literals.map((literal) => literal?.replace(/^[nN](?=')/, '')),
        expected,
      )
    }),
    { numRuns: 5000 },
  )
})

test('a plain text is read the same by the short way and the long one', () => {
  let plainTexts = 0
  fc.assert(
    fc.property(sqlText, (sql) => {
      const plain = lexPlain(sql)
      if (!plain || literalsByServer(sql) === undefined) return
      plainTexts++

      assert.deepEqual(finishPlain(plain).literals, lex(sql).literals)
    }),
    { numRuns: 5000 },
  )
  assert.ok(plainTexts > 500, String(plainTexts))
})

test('no part of a literal stays in the text', () => {
  const quote = fc.constantFrom(
    (text: string) => `'${text}'`,
    (text: string) => `E'\\'${text}'`,
    (text: string) => `$q$${text}$q$`,
    (text: string) => `'x'\n  '${text}'`,
    (text: string) => `-- ${text}\n`,
    (text: string) => `/* /* ${text} */ */`,
  )
  fc.assert(
    fc.property(fc.constantFrom(...all), quote, fc.constantFrom(' ', ',', '('), (sql, wrap, glue) => {
      fc.pre(literalsByServer(sql) !== undefined && !/--[^\n]*$/.test(sql))

      assert.doesNotMatch(lex(`${sql}${glue}${wrap('4111111111111111x')}`).normalised, /4111/)
    }),
  )
})
