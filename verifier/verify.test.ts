import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ed25519Signer } from '../src/kernel/crypto.ts'
import { Secret } from '../src/kernel/secret.ts'
import { canonicalBytes } from '../src/ledger/tree/canonical.ts'
import { addCosignatures } from '../src/ledger/tree/checkpoint.ts'
import { commitmentField } from '../src/ledger/tree/commitment.ts'
import { cosign } from '../src/ledger/tree/cosignature.ts'
import { CONTINUATION_KIND, continuationFacts } from '../src/ledger/tree/export.ts'
import { leafHash } from '../src/ledger/tree/hash.ts'
import { parseCheckpoint } from '../src/ledger/tree/checkpoint.ts'
import { KeyType, formatVerifierKey, parseNote, verifierKey } from '../src/ledger/tree/note.ts'
import { checkpointOf, exportText, inPieces, testLog, testSigner } from '../test/support/ledger-export.ts'
import { UsageError, verifyExport } from './verify.ts'
import type { Report, VerifyOptions } from './verify.ts'

const ORIGIN = 'reeve.example/log'
const signer = testSigner(ORIGIN)
const leavesOf = (count: number, kind = 'grant.made') =>
  Array.from({ length: count }, (_, at) => ({
    entry: canonicalBytes({ kind, facts: { number: at, grant: `g-${at}` } }),
  }))
const twenty = leavesOf(20)
const entriesOf = (leaves: readonly { entry: Buffer }[]) => leaves.map((leaf) => leaf.entry)
const honest = await exportText(testLog(signer, twenty, [0, 5, 12, 20]))
const key = honest.keys[0] ?? ''

const verify = (text: string | Buffer, options: Partial<VerifyOptions> = {}): Promise<Report> =>
  verifyExport({ source: inPieces(text), keys: honest.keys, ...options })

/** The file after a change of its lines; `lines[0]` is the header, each leaf line is found by its index. */
const edited = (change: (lines: string[]) => string[]): string =>
  `${change(honest.text.trimEnd().split('\n')).join('\n')}\n`
const leafAt = (lines: string[], index: number): number =>
  lines.findIndex((line) => line.startsWith(`{"leaf":${index},`))

/** What an attacker writes who can do everything but sign: indices, hashes and the end are made to fit. */
const renumbered = (lines: string[]): string[] => {
  let index = 0
  const fixed = lines.map((line) =>
    line.startsWith('{"leaf"') ? line.replace(/^\{"leaf":\d+/, `{"leaf":${index++}`) : line,
  )
  return fixed.map((line) => (line.startsWith('{"end"') ? `{"end":${index}}` : line))
}
const kinds = (report: Report) => report.findings.map((finding) => finding.kind)

test('an export whose entries are those that were signed verifies, and says that truncation and fork were not checked', async () => {
  const report = await verify(honest.text)

  assert.deepEqual(report.findings, [])
  assert.equal(report.ok, true)
  assert.deepEqual(
    report.logs.map(({ origin, entries, checkpoints, signedSize }) => ({ origin, entries, checkpoints, signedSize })),
    [{ origin: ORIGIN, entries: 20, checkpoints: 4, signedSize: 20 }],
  )
  assert.match(report.notChecked.join('\n'), /truncation[^]*fork/)
})

test('no byte of an export can change without being noticed', async () => {
  const bytes = Buffer.from(honest.text)
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] ?? 0) ^ flip

      const report = await verify(flipped)

      assert.equal(report.ok, false, `byte ${at} became ${flipped[at]}`)
    }),
    { numRuns: 3000 },
  )
})

test('no line can be dropped, repeated or moved without being noticed', async () => {
  const count = honest.text.trimEnd().split('\n').length
  for (let at = 0; at < count; at++) {
    const dropped = edited((lines) => lines.toSpliced(at, 1))
    const repeated = edited((lines) => lines.toSpliced(at, 0, lines[at] ?? ''))
    const isCheckpoint = honest.text.split('\n')[at]?.startsWith('{"checkpoint"')
    // An inner checkpoint is not an entry: without it the next one still covers the same entries.
    const isLast = at === count - 2
    if (!isCheckpoint || isLast) assert.equal((await verify(dropped)).ok, false, `line ${at} dropped`)
    if (!isCheckpoint) assert.equal((await verify(repeated)).ok, false, `line ${at} repeated`)
    for (let to = 0; to < count; to++) {
      if (to === at || Math.abs(to - at) > 3) continue
      const moved = edited((lines) => lines.toSpliced(at, 1).toSpliced(to, 0, lines[at] ?? ''))
      assert.equal((await verify(moved)).ok, false, `line ${at} moved to ${to}`)
    }
  }
})

test('an edited entry is named when the tree was left alone', async () => {
  const forged = canonicalBytes({ kind: 'grant.made', facts: { number: 7, grant: 'forged' } }).toString('base64')

  const report = await verify(
    edited((lines) => {
      const at = leafAt(lines, 7)
      return lines.with(at, (lines[at] ?? '').replace(/"data":"[^"]*"/, `"data":"${forged}"`))
    }),
  )

  assert.deepEqual(report.findings, [
    { kind: 'edited', message: 'Entry 7 is not what its hash says: it was edited.', origin: ORIGIN, from: 7, to: 7 },
  ])
})

test('an entry edited with its hash is found in the smallest interval between two checkpoints', async () => {
  const entry = canonicalBytes({ kind: 'grant.made', facts: { number: 7, grant: 'forged' } })
  const line = `{"leaf":7,"hash":"${leafHash(entry).toString('base64')}","data":"${entry.toString('base64')}"}`

  const { findings } = await verify(edited((lines) => lines.with(leafAt(lines, 7), line)))

  assert.deepEqual(
    findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'rewritten', from: 5, to: 11 }],
  )
})

test('two swapped entries are found, named when their numbers were left and by their interval when not', async () => {
  const swap = (lines: string[]) => {
    const [a, b] = [leafAt(lines, 13), leafAt(lines, 14)]
    return lines.with(a, lines[b] ?? '').with(b, lines[a] ?? '')
  }

  const naive = await verify(edited(swap))
  const clever = await verify(edited((lines) => renumbered(swap(lines))))

  assert.deepEqual(
    naive.findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'order', from: 13, to: 13 }],
  )
  assert.deepEqual(
    clever.findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'rewritten', from: 12, to: 19 }],
  )
})

test('a deleted entry is found, named when the numbers were left and by its interval when not', async () => {
  const drop = (lines: string[]) => lines.toSpliced(leafAt(lines, 7), 1)

  const naive = await verify(edited(drop))
  const clever = await verify(edited((lines) => renumbered(drop(lines))))

  assert.deepEqual(
    naive.findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'order', from: 7, to: 7 }],
  )
  assert.deepEqual(
    clever.findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'deleted', from: 5, to: 11 }],
  )
})

test('an added entry is found', async () => {
  const report = await verify(
    edited((lines) => {
      const at = leafAt(lines, 7)
      return renumbered(lines.toSpliced(at, 0, lines[at] ?? ''))
    }),
  )

  assert.deepEqual(kinds(report), ['order'])
})

test('entries behind the last checkpoint are not taken as signed', async () => {
  const { text } = await exportText(testLog(signer, twenty, [5, 12]))

  const report = await verify(text)

  assert.deepEqual(
    report.findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'unsigned', from: 12, to: 19 }],
  )
})

test('a log cut back to an older checkpoint verifies alone and fails against a checkpoint kept from later', async () => {
  const { text } = await exportText(testLog(signer, twenty.slice(0, 12), [5, 12]))
  const kept = checkpointOf(signer, entriesOf(twenty))

  const alone = await verify(text)
  const compared = await verify(text, { checkpoints: [kept] })

  assert.equal(alone.ok, true)
  assert.match(alone.notChecked.join('\n'), /truncation/)
  assert.deepEqual(
    compared.findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'truncated', from: 12, to: 19 }],
  )
})

test('a fork signed by the log itself fails against a checkpoint kept from the other branch', async () => {
  const branch = [...twenty.slice(0, 9), ...leavesOf(11, 'forged')]
  const { text } = await exportText(testLog(signer, branch, [5, 20]))

  const alone = await verify(text)
  const compared = await verify(text, { checkpoints: [checkpointOf(signer, entriesOf(twenty.slice(0, 12)))] })

  assert.equal(alone.ok, true)
  assert.deepEqual(kinds(compared), ['fork'])
})

test('a checkpoint kept from earlier, of any size, holds for an honest log', async () => {
  const checkpoints = [0, 1, 7, 19, 20].map((size) => checkpointOf(signer, entriesOf(twenty.slice(0, size))))

  const report = await verify(honest.text, { checkpoints })

  assert.deepEqual(report.findings, [])
  assert.match(report.checked.join('\n'), /up to entry 20/)
  assert.match(report.notChecked.join('\n'), /from 20 on/)
})

test('an export signed by a replaced key, or under another name, is refused', async () => {
  const replaced = testSigner(ORIGIN, 2)
  const stolen = await exportText(testLog(replaced, twenty, [20]))
  const renamed = await exportText(testLog(testSigner('other.example/log', 1), twenty, [20]))
  const header = honest.text.split('\n')[0] ?? ''
  const disguised = stolen.text.replace(/^[^\n]+/, header)

  assert.deepEqual(kinds(await verify(stolen.text)), ['wrong-key'])
  assert.deepEqual(kinds(await verify(renamed.text)), ['wrong-key'])
  assert.deepEqual(kinds(await verify(disguised)), ['checkpoint'])
})

test("another log's checkpoint does not vouch for this one, in the file or kept", async () => {
  const other = testSigner('other.example/log', 1)
  const foreign = checkpointOf(other, entriesOf(twenty))
  const swapped = edited((lines) => lines.toSpliced(-2, 1, JSON.stringify({ checkpoint: foreign })))

  assert.deepEqual(kinds(await verify(swapped)), ['checkpoint'])
  assert.deepEqual(kinds(await verify(honest.text, { checkpoints: [foreign] })), ['wrong-key'])
  const trusting = { checkpoints: [foreign], keys: [key, formatVerifierKey(other.key)] }
  assert.deepEqual(kinds(await verify(honest.text, trusting)), ['missing-log'])
})

test('a quorum of witnesses is counted by distinct keys over the last checkpoint', async () => {
  const witnesses = [3, 4].map((fill) => {
    const own = ed25519Signer(new Secret(Buffer.alloc(32, fill)))
    return { own, key: verifierKey(`witness.example/${fill}`, KeyType.cosignature, own.publicKey) }
  })
  const [one, two] = witnesses
  assert.ok(one && two)
  const last = checkpointOf(signer, entriesOf(twenty))
  const cosigned = addCosignatures(last, cosign(one.key.name, one.own, last, 1_700_000_000), [one.key])
  const { text } = await exportText({ key: signer.key, leaves: twenty, checkpoints: [cosigned] })
  const both = [formatVerifierKey(one.key), formatVerifierKey(two.key)]
  const alias = verifierKey('witness.example/alias', KeyType.cosignature, one.own.publicKey)

  const enough = await verify(text, { witnesses: both, quorum: 1 })
  const tooFew = await verify(text, { witnesses: both })

  assert.deepEqual(enough.findings, [])
  assert.deepEqual(enough.notChecked, [])
  assert.match(enough.checked.join('\n'), /as of 2023-11-14T22:13:20.000Z, by 1 of 2 witnesses/)
  assert.deepEqual(kinds(tooFew), ['quorum'])
  await assert.rejects(verify(text, { witnesses: [both[0] ?? '', formatVerifierKey(alias)], quorum: 2 }), UsageError)
})

test('a disclosed field is checked against its commitment', async () => {
  const salt = Buffer.alloc(32, 5)
  const email = commitmentField(salt, 'älice@example.com')
  const entry = canonicalBytes({ kind: 'person.enrolled', facts: { 'e/mail': email } })
  const opening = { path: '/facts/e~1mail', salt, value: 'älice@example.com' }
  const disclose = (change: object) =>
    exportText(testLog(signer, [{ entry, openings: [{ ...opening, ...change }] }], [1]))

  assert.equal((await verify((await disclose({})).text)).openings, 1)
  for (const change of [
    { value: 'mallory@example.com' },
    { salt: Buffer.alloc(32, 6) },
    { path: '/facts' },
    { path: '/facts/__proto__' },
    { path: '' },
  ]) {
    assert.deepEqual(kinds(await verify((await disclose(change)).text)), ['opening'], JSON.stringify(change))
  }
})

const restoredFrom = (note: string) => {
  const facts = continuationFacts(parseCheckpoint(parseNote(note).text))
  return [{ entry: canonicalBytes({ kind: CONTINUATION_KIND, facts: { ...facts } }) }, ...leavesOf(4, 'after')]
}
const renewed = testSigner('reeve.example/log/2', 7)

test('a restored log that names the last checkpoint of the one before it verifies with it', async () => {
  const second = testLog(renewed, restoredFrom(checkpointOf(signer, entriesOf(twenty))), [5])
  const { text, keys } = await exportText(testLog(signer, twenty, [20]), second)
  const alone = await exportText(second)

  assert.deepEqual((await verify(text, { keys })).findings, [])
  assert.deepEqual(kinds(await verify(text, { keys: keys.slice(0, 1) })), ['wrong-key'])
  assert.deepEqual(kinds(await verify(alone.text, { keys })), ['missing-log'])
})

test('a restored log cannot disown entries, continue another history, or begin without saying what it continues', async () => {
  const first = testLog(signer, twenty, [12, 20])
  const cut = checkpointOf(signer, entriesOf(twenty.slice(0, 12)))
  const forked = checkpointOf(signer, entriesOf(leavesOf(20, 'forged')))

  for (const leaves of [restoredFrom(cut), restoredFrom(forked), leavesOf(5)]) {
    const { text, keys } = await exportText(first, testLog(renewed, leaves, [5]))
    assert.deepEqual(kinds(await verify(text, { keys })), ['unlinked'])
  }
})

test('entries lost in a restore are a failure until their loss is accepted by name', async () => {
  const last = checkpointOf(signer, entriesOf(twenty))
  const saved = testLog(signer, twenty.slice(0, 12), [12])
  const first = { ...saved, checkpoints: [checkpointOf(signer, entriesOf(twenty.slice(0, 12))), last] }
  const { text, keys } = await exportText(first, testLog(renewed, restoredFrom(last), [5]))

  const report = await verify(text, { keys })
  const accepted = await verify(text, { keys, acceptLoss: [ORIGIN], checkpoints: [last] })

  assert.deepEqual(
    report.findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'lost', from: 12, to: 19 }],
  )
  assert.deepEqual(accepted.findings, [])
  assert.match(accepted.checked.join('\n'), /8 are lost/)
})

test('hostile input is a finding, never a crash, a hang or a full memory', async () => {
  const header = honest.text.split('\n')[0] ?? ''
  const endless = async function* () {
    for (let at = 0; ; at++) yield Buffer.alloc(65_536, at === 0 ? '{"leaf":0' : 'x')
  }

  assert.deepEqual(kinds(await verifyExport({ source: endless(), keys: [key] })), ['malformed'])
  for (const line of [
    '[]'.padEnd(9, ' '),
    '['.repeat(500_000),
    '{"a":'.repeat(100_000),
    '{"__proto__":{"polluted":1}}',
    '{"leaf":99999999999999999999,"hash":"","data":""}',
    `{"leaf":0,"hash":"${'A'.repeat(43)}=","data":"${'A'.repeat(87_384)}"}`,
    '{"leaf":0,"hash":"","data":""}',
    '{"checkpoint":"\\n\\n"}',
    JSON.stringify({ checkpoint: `${ORIGIN}\n${'9'.repeat(400)}\nAAAA\n\n— x AAAAAAAA\n` }),
    '{"opening":-1,"path":"/x","salt":"","value":""}',
    '{"end":1e400}',
    '',
  ]) {
    const report = await verify(`${header}\n${line}\n{"end":0}\n`)
    assert.equal(report.ok, false, line.slice(0, 60))
    assert.ok(report.findings.length > 0)
  }
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: 'binary' })), async (lines) => {
      assert.equal((await verify(lines.join('\n'))).ok, false)
    }),
  )
})
