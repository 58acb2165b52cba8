import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { test, type TestContext } from 'node:test'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import {
  allPlaced,
  openTestLedger,
  openTestSequencer,
  outsideFile,
  personNamed,
  seen,
  until,
  verified,
} from '../../test/support/ledger.ts'
import { ed25519Signer } from '../kernel/crypto.ts'
import { transact } from '../kernel/db.ts'
import { silentLog } from '../kernel/log.ts'
import { Secret } from '../kernel/secret.ts'
import { ledgerOperations, listEntries, nothingSigned } from './contract.ts'
import { findEntry, listLedger, proveCause, revealEntry } from './entries.ts'
import { destroySubjectKey } from './erasure.ts'
import { listLogs, type Log } from './logs.ts'
import { exportLines } from './routes.ts'
import type { Signed } from './sequencer.ts'
import { parseCheckpoint } from './tree/checkpoint.ts'
import { opens } from './tree/commitment.ts'
import { cosign } from './tree/cosignature.ts'
import { EMPTY_ROOT } from './tree/hash.ts'
import { formatVerifierKey, KeyType, parseNote, verifierKey } from './tree/note.ts'
import { verifyConsistency } from './tree/proof.ts'
import { parseReceipt, verifyReceipt } from './tree/receipt.ts'
import { parseAddCheckpoint } from './tree/witness.ts'
import { openWitnesses } from './witnesses.ts'

const ADA = '0199b1c2-0000-7000-8000-000000000001'
const GRANT = '0199b1c2-0000-7000-8000-000000000002'

test('causes are listed by grant, resource and kind, page by page in both orders', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)
  const { db } = database
  for (let count = 0; count < 5; count++) {
    const about = count % 2 === 0 ? { grantId: GRANT } : { resource: { type: 'Identity', id: ADA } }
    await transact(db, (tx) => ledger.record(tx, { ...seen('cause', count), ...about }))
  }
  const list = (query: object) => listLedger(db, listEntries.query.parse(query))
  const counts = ({ items }: Awaited<ReturnType<typeof list>>) =>
    items.map(({ leaf }) => (leaf['facts'] as { count: number }).count)

  const first = await list({ limit: '2', order: 'oldest' })
  const second = await list({ limit: '2', order: 'oldest', cursor: first.nextCursor })

  assert.deepEqual(counts(await list({})), [4, 3, 2, 1, 0])
  assert.deepEqual(counts(await list({ grant: GRANT })), [4, 2, 0])
  assert.deepEqual(counts(await list({ resource: ADA })), [3, 1])
  assert.deepEqual(counts(await list({ kind: 'thing.lost' })), [])
  assert.deepEqual(
    [counts(first), counts(second)],
    [
      [0, 1],
      [2, 3],
    ],
  )
})

test('many causes that are written together are each an entry of their own, told in the order of the facts', async (t) => {
  const { db, ...database } = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, { db, ...database })
  const facts = Array.from({ length: 2_300 }, (_, count) => seen('cause', count))
  const person = { ...seen('cause', 0), event: personNamed, subjectId: ADA, facts: { email: 'ada@example.org' } }

  const ids = await transact(db, (tx) => ledger.recordAll(tx, [...facts, person]))

  assert.equal(new Set(ids).size, 2_301)
  for (const at of [0, 1, 999, 1_000, 2_299]) {
    assert.deepEqual((await findEntry(db, ids[at] ?? 0)).leaf['facts'], facts[at]?.facts)
  }
  const sealed = await db.selectFrom('ledgerPrivate').select(['entryId', 'subjectId']).execute()
  assert.deepEqual(sealed, [{ entryId: ids[2_300], subjectId: ADA }])
  assert.deepEqual(await transact(db, (tx) => ledger.recordAll(tx, [])), [])
})

test('a receipt proves an entry to whoever has only the key', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)
  const { db } = database
  const ids = await transact(db, async (tx) => {
    const made: number[] = []
    for (let count = 0; count < 300; count++) made.push(await ledger.record(tx, seen('cause', count)))
    return made
  })
  await assert.rejects(proveCause(db, ids[0] ?? 0), (error: unknown) => nothingSigned.is(error))
  openTestSequencer(t, database.server, outsideFile(t))
  await allPlaced(db)

  const receipt = await proveCause(db, ids[257] ?? 0)
  const [log] = await listLogs(db)
  const trust = { logKey: (log as Log).key }

  assert.equal(receipt.index, 257)
  assert.equal(verifyReceipt(parseReceipt(receipt.proof), Buffer.from(receipt.leaf), trust).size, 300)
  assert.throws(() =>
    verifyReceipt(parseReceipt(receipt.proof), Buffer.from(receipt.leaf.replace('257', '258')), trust),
  )
})

test('personal fields are revealed with what opens them, and after an erasure nothing opens and all still verifies', async (t) => {
  const { database, ledger, needs, id } = await named(t)
  const { db } = database
  const act = { actor: { id: ADA, kind: 'human' as const } }
  const reveal = () =>
    transact(db, (tx) => revealEntry(tx, { ...needs, ledger }, act, { entryId: id, reason: 'a request of hers' }))
  const { leaf } = await findEntry(db, id)
  const { email } = leaf['facts'] as { email: { commitment: string } }

  const before = (await reveal()).fields[0]
  await transact(db, (tx) => destroySubjectKey(tx, ADA, needs.clock.now()))
  const after = (await reveal()).fields[0]
  await allPlaced(db)

  assert.equal(before?.value, 'ada@example.com')
  assert.ok(opens(email, Buffer.from(before.salt ?? '', 'base64'), before.value))
  assert.deepEqual([after?.value, after?.salt], [null, null])
  const { report, text } = await verified(db)
  assert.deepEqual(report.findings, [])
  assert.doesNotMatch(Buffer.from(text).toString('latin1'), /ada@example/)
  assert.equal((await listLedger(db, listEntries.query.parse({ kind: 'ledger.revealed' }))).items.length, 2)
})

test('the API’s export has the very bytes that the verifier takes', async (t) => {
  const { database } = await named(t)
  const { text } = await verified(database.db)

  const lines = await Array.fromAsync(exportLines(database.db))

  assert.equal(lines.map((line) => `${JSON.stringify(line)}\n`).join(''), text)
  assert.ok(ledgerOperations.every(({ path }) => path.startsWith('/v1/ledger/')))
})

test('a witness cosigns each checkpoint it can follow, and an export with its quorum verifies', async (t) => {
  const database = await freshDatabase(t)
  const { db } = database
  const { ledger } = await openTestLedger(t, database)
  const witness = await startWitness(t)
  const lost: string[] = []
  const witnesses = openWitnesses(
    {
      db,
      clock: { now: () => new Date(), monotonicMs: () => 0 },
      log: silentLog,
      onWitnessLoss: (name) => lost.push(name),
    },
    [{ key: witness.key, url: witness.url }],
  )
  t.after(() => witnesses[Symbol.asyncDispose]())
  const signed: Signed[] = []
  openTestSequencer(t, database.server, outsideFile(t), { onSigned: (one) => void signed.push(one) })
  const cosignedUpTo = async (size: number) => {
    witnesses.offer(signed.at(-1) as Signed)
    await until(async () =>
      (await db.selectFrom('ledgerCosignature').select('size').execute()).some((row) => row.size === size),
    )
  }

  await ledger.observe(seen('seen', 0))
  await until(() => signed.length === 1)
  await cosignedUpTo(1)
  await Promise.all([ledger.observe(seen('seen', 1)), ledger.observe(seen('seen', 2))])
  await until(() => signed.at(-1)?.size === 3)
  // It holds another size than we remember: it says 409 with that size, and is asked again.
  witness.forgetUs()
  await cosignedUpTo(3)
  const { report } = await verified(db, { witnesses: [witness.key], quorum: 1 })

  assert.deepEqual(report.findings, [])
  assert.ok(report.checked.some((what) => what.includes('1 of 1 witnesses')))
  assert.deepEqual(lost, [])
  assert.ok(witness.conflicts() > 0)

  witness.lie()
  await ledger.observe(seen('seen', 3))
  await until(() => signed.at(-1)?.size === 4)
  witnesses.offer(signed.at(-1) as Signed)
  await until(() => lost.length > 0)
  const after = await verified(db, { witnesses: [witness.key], quorum: 1 })
  assert.deepEqual(
    after.report.findings.map(({ kind }) => kind),
    ['quorum'],
  )
})

async function named(t: TestContext) {
  const database: TestDatabase = await freshDatabase(t)
  const { ledger, needs } = await openTestLedger(t, database)
  openTestSequencer(t, database.server, outsideFile(t))
  const id = await transact(database.db, (tx) =>
    ledger.record(tx, {
      event: personNamed,
      actor: { id: ADA, kind: 'human' },
      resource: { type: 'Identity', id: ADA },
      outcome: 'done',
      facts: { email: 'ada@example.com' },
    }),
  )
  await allPlaced(database.db)
  return { database, ledger, needs, id }
}

/** A witness as C2SP tlog-witness has it: it holds one tree head and cosigns only what continues it. */
async function startWitness(t: TestContext) {
  const signer = ed25519Signer(new Secret(Buffer.alloc(32, 9)))
  const name = 'witness.test/one'
  let head = { size: 0, root: EMPTY_ROOT }
  let conflicts = 0
  let isLying = false
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = Buffer.concat(await Array.fromAsync(request)).toString('utf8')
    const asked = parseAddCheckpoint(body)
    const checkpoint = parseCheckpoint(parseNote(asked.checkpoint).text)
    if (isLying)
      return response
        .writeHead(200)
        .end(cosign(name, ed25519Signer(new Secret(Buffer.alloc(32, 1))), asked.checkpoint, 1))
    if (asked.oldSize !== head.size) {
      conflicts++
      return response.writeHead(409, { 'content-type': 'text/x.tlog.size' }).end(`${head.size}\n`)
    }
    if (!verifyConsistency(head, checkpoint, asked.proof)) return response.writeHead(422).end()
    head = { size: checkpoint.size, root: checkpoint.root }
    return response.writeHead(200).end(cosign(name, signer, asked.checkpoint, Math.floor(Date.now() / 1000)))
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return {
    key: formatVerifierKey(verifierKey(name, KeyType.cosignature, signer.publicKey)),
    url: `http://127.0.0.1:${address.port}`,
    conflicts: () => conflicts,
    forgetUs: () => void (head = { size: 0, root: EMPTY_ROOT }),
    lie: () => void (isLying = true),
  }
}
