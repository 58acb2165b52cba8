import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ed25519Signer } from '../../kernel/crypto.ts'
import { Secret } from '../../kernel/secret.ts'
import { addCosignatures, formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts'
import { cosign } from './cosignature.ts'
import { leafHash } from './hash.ts'
import { InvalidProof } from './invalid.ts'
import {
  KeyType,
  formatVerifierKey,
  noteSigner,
  parseNote,
  parseVerifierKey,
  signNote,
  verifierKey,
  verifyNote,
} from './note.ts'
import { encodeReceipt, parseReceipt, verifyReceipt } from './receipt.ts'
import { proveConsistency, proveInclusion, verifyConsistency } from './proof.ts'
import { someEntries, storeTree } from '../../../test/support/tile-store.ts'
import { naiveRoot } from '../../../test/support/naive-tree.ts'
import { encodeAddCheckpoint, parseAddCheckpoint, parseSizeConflict } from './witness.ts'

const keyOf = (fill: number) => ed25519Signer(new Secret(Buffer.alloc(32, fill)))
const ORIGIN = 'reeve.example/log'
const log = noteSigner(ORIGIN, keyOf(1))
const stranger = noteSigner('stranger.example', keyOf(2))
const witnessKey = verifierKey('witness.example/w1', KeyType.cosignature, keyOf(3).publicKey)
const otherWitnessKey = verifierKey('witness.example/w2', KeyType.cosignature, keyOf(4).publicKey)
const checkpoint = { origin: ORIGIN, size: 5, root: leafHash(Buffer.from('root')), extensions: [] }

test('the verifier key of the specification is read and written back', () => {
  const text = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'

  const key = parseVerifierKey(text)

  assert.equal(key.name, 'example.com/foo')
  assert.equal(key.id, '530d903a')
  assert.equal(formatVerifierKey(key), text)
})

test('the example note of the Go implementation verifies', () => {
  const key = parseVerifierKey('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')
  const note =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
    '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'

  assert.deepEqual(
    verifyNote(parseNote(note), [key]).map((one) => one.key.name),
    ['PeterNeumann'],
  )
})

test('a verifier key with another ID, type, length or spelling is refused', () => {
  for (const text of [
    'example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
    'example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
    'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2l',
    'example.com/foo+530d903a+AekyeRrm56hApGFk',
    'example.com /foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
    '+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
    '',
  ]) {
    assert.throws(() => parseVerifierKey(text), InvalidProof, text)
  }
})

test('a note keeps 16 signatures and says which known keys signed', () => {
  const signers = Array.from({ length: 16 }, (_, at) => noteSigner(`signer.example/${at}`, keyOf(10 + at)))

  const note = parseNote(signNote('hello\n\nworld\n', signers))

  assert.equal(note.text, 'hello\n\nworld\n')
  assert.equal(note.signatures.length, 16)
  assert.deepEqual(
    verifyNote(note, [signers[15]?.key ?? assert.fail(), log.key]).map((one) => one.key.name),
    ['signer.example/15'],
  )
})

test('a known name and ID with a signature that does not verify makes the note malformed', () => {
  const note = parseNote(signNote('hello\n', [log, stranger]))
  const forged = {
    ...note,
    signatures: note.signatures.map((one) => ({ ...one, bytes: Buffer.alloc(64, 9) })),
  }
  const [first, second] = note.signatures
  const [bad] = forged.signatures
  assert.ok(first && second && bad)

  assert.throws(() => verifyNote(forged, [log.key]), InvalidProof)
  assert.throws(() => verifyNote({ ...note, signatures: [first, bad] }, [log.key]), InvalidProof)
  assert.equal(verifyNote({ ...note, signatures: [bad, second] }, [stranger.key]).length, 1)
})

test('no byte of a signed text can change', () => {
  const note = parseNote(signNote('a text that was signed\n', [log]))
  fc.assert(
    fc.property(fc.nat({ max: note.text.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const text = Buffer.from(note.text)
      text[at] = (text[at] ?? 0) ^ flip

      assert.throws(() => verifyNote({ ...note, text: text.toString('latin1') }, [log.key]), InvalidProof)
    }),
  )
})

test('reading a note, a checkpoint, a receipt or a witness request never fails otherwise than as invalid', () => {
  const signed = signCheckpoint(checkpoint, [log])
  const receipt = encodeReceipt({ index: 3, path: [checkpoint.root], checkpoint: signed, extra: Buffer.from('x') })
  const request = encodeAddCheckpoint({ oldSize: 2, proof: [checkpoint.root], checkpoint: signed })
  const mutated = fc
    .tuple(fc.constantFrom(signed, receipt, request), fc.nat(), fc.nat(), fc.string())
    .map(([text, from, length, by]) => {
      const start = from % text.length
      return text.slice(0, start) + by + text.slice(start + (length % 9))
    })
  fc.assert(
    fc.property(fc.oneof(mutated, fc.string({ unit: 'binary' })), (text) => {
      for (const read of [
        parseNote,
        parseCheckpoint,
        parseReceipt,
        parseAddCheckpoint,
        parseVerifierKey,
        parseSizeConflict,
      ]) {
        try {
          read(text)
        } catch (error) {
          assert.ok(error instanceof InvalidProof, String(error))
        }
      }
    }),
  )
})

test('a note with control characters, without signatures, with too many or beyond its size is refused', () => {
  const line = signNote('x\n', [log]).split('\n')[2] ?? ''

  for (const note of [
    '',
    '\n',
    'x\n',
    'x\n\n',
    `x\t\n\n${line}\n`,
    `x\n\n${line}`,
    `x\r\n\n${line}\n`,
    `x\u0000\n\n${line}\n`,
  ]) {
    assert.throws(() => parseNote(note), InvalidProof, JSON.stringify(note))
  }
  assert.throws(() => parseNote(`x\n\n${`${line}\n`.repeat(65)}`), /too many/)
  assert.throws(() => parseNote(`${'x'.repeat(262_144)}\n\n${line}\n`), /too long/)
})

test('a checkpoint is opened by the key of its log only', () => {
  const signed = signCheckpoint({ ...checkpoint, extensions: ['extension'] }, [log])

  assert.deepEqual(openCheckpoint(signed, log.key), { ...checkpoint, extensions: ['extension'], witnessedBy: [] })
  assert.throws(() => openCheckpoint(signed, stranger.key), /another log/)
  assert.throws(() => openCheckpoint(signed, noteSigner(ORIGIN, keyOf(9)).key), /not signed/)
  assert.throws(() => openCheckpoint(signCheckpoint(checkpoint, [stranger]), log.key), /not signed/)
})

test('a checkpoint has one spelling', () => {
  const text = formatCheckpoint(checkpoint)
  const root = checkpoint.root.toString('base64')

  assert.deepEqual(parseCheckpoint(text), checkpoint)
  for (const other of [
    text.replace('\n5\n', '\n05\n'),
    text.replace('\n5\n', '\n5 \n'),
    text.replace('\n5\n', '\n-5\n'),
    text.replace('\n5\n', '\n99999999999999999999\n'),
    text.replace(root, root.slice(0, -1)),
    text.replace(root, Buffer.alloc(31).toString('base64')),
    `${text}\n`,
    text.trimEnd(),
  ]) {
    assert.throws(() => parseCheckpoint(other), InvalidProof, other)
  }
  assert.throws(() => formatCheckpoint({ ...checkpoint, origin: 'two\n7' }), InvalidProof)
})

test('a cosignature of a known witness is added, dated and counted; those of others are dropped', () => {
  const signed = signCheckpoint(checkpoint, [log])
  const answer = cosign(witnessKey.name, keyOf(3), signed, 1_700_000_000) + cosign('unknown', keyOf(5), signed, 1)

  const cosigned = addCosignatures(signed, answer, [witnessKey])

  assert.equal(parseNote(cosigned).signatures.length, 2)
  assert.deepEqual(openCheckpoint(cosigned, log.key, [witnessKey, otherWitnessKey]).witnessedBy, [
    { key: witnessKey, at: 1_700_000_000 },
  ])
})

test('a cosignature of another checkpoint, or with another time, is refused', () => {
  const signed = signCheckpoint(checkpoint, [log])
  const elsewhere = cosign(witnessKey.name, keyOf(3), signCheckpoint({ ...checkpoint, size: 6 }, [log]), 1_700_000_000)
  const own = cosign(witnessKey.name, keyOf(3), signed, 1_700_000_000)
  const [, , encoded = ''] = own.trimEnd().split(' ')
  const bytes = Buffer.from(encoded, 'base64')
  bytes[11] = (bytes[11] ?? 0) ^ 1

  assert.throws(() => addCosignatures(signed, elsewhere, [witnessKey]), InvalidProof)
  assert.throws(
    () => addCosignatures(signed, own.replace(encoded, bytes.toString('base64')), [witnessKey]),
    InvalidProof,
  )
})

test('a receipt proves its entry to whoever trusts the log, and nothing else', async () => {
  const entries = someEntries(300)
  const { read, root } = storeTree(entries)
  const signed = signCheckpoint({ origin: ORIGIN, size: 300, root, extensions: [] }, [log])
  const cosigned = addCosignatures(signed, cosign(witnessKey.name, keyOf(3), signed, 1_700_000_000), [witnessKey])
  const path = await proveInclusion(read, 7, 300)

  const receipt = parseReceipt(encodeReceipt({ index: 7, path, checkpoint: cosigned, extra: Buffer.from('hint') }))

  const entry = entries[7] ?? assert.fail()
  const trust = { logKey: log.key, witnesses: [witnessKey, otherWitnessKey] }
  assert.equal(receipt.extra?.toString(), 'hint')
  assert.equal(verifyReceipt(receipt, entry, { ...trust, quorum: 1 }).size, 300)
  assert.throws(() => verifyReceipt(receipt, entry, { ...trust, quorum: 2 }), /Too few witnesses/)
  assert.throws(() => verifyReceipt(receipt, Buffer.from('forged'), trust), /not in the log/)
  assert.throws(() => verifyReceipt({ ...receipt, index: 8 }, entry, trust), /not in the log/)
  assert.throws(() => verifyReceipt(receipt, entry, { logKey: stranger.key }), /another log/)
})

test('one witness key under two names is one witness', () => {
  const entries = someEntries(1)
  const { root } = storeTree(entries)
  const alias = verifierKey('witness.example/alias', KeyType.cosignature, keyOf(3).publicKey)
  const signed = signCheckpoint({ origin: ORIGIN, size: 1, root, extensions: [] }, [log])
  const answer = cosign(witnessKey.name, keyOf(3), signed, 5) + cosign(alias.name, keyOf(3), signed, 5)
  const both = addCosignatures(signed, answer, [witnessKey, alias])
  const receipt = { index: 0, path: [], checkpoint: both }

  const trust = { logKey: log.key, witnesses: [witnessKey, alias], quorum: 2 }
  assert.throws(() => verifyReceipt(receipt, entries[0] ?? assert.fail(), trust), /Too few witnesses/)
})

test('a request to a witness is read back and its proof verifies', async () => {
  const entries = someEntries(300)
  const { read, root } = storeTree(entries)
  const signed = signCheckpoint({ origin: ORIGIN, size: 300, root, extensions: [] }, [log])
  const proof = await proveConsistency(read, 100, 300)

  const request = parseAddCheckpoint(encodeAddCheckpoint({ oldSize: 100, proof, checkpoint: signed }))

  assert.deepEqual(request, { oldSize: 100, proof, checkpoint: signed })
  const newer = openCheckpoint(request.checkpoint, log.key)
  assert.ok(verifyConsistency({ size: 100, root: naiveRoot(entries.slice(0, 100)) }, newer, request.proof))
  assert.equal(parseSizeConflict('100\n'), 100)
})
