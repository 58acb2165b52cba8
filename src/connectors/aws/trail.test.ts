import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { sha256 } from '../../kernel/crypto.ts'
import type { Observation } from '../connector.ts'
import { ACCOUNT, reading, stub } from './iam.fixture.ts'
import { readRecords } from './trail-events.ts'

const event = (more: object = {}) => ({
  eventTime: '2026-11-01T10:05:00Z',
  eventSource: 's3.amazonaws.com',
  eventName: 'GetObject',
  sourceIPAddress: '10.0.0.7',
  userAgent: 'app/1',
  userIdentity: { type: 'IAMUser', principalId: 'AIDA1', accountId: ACCOUNT, accessKeyId: 'AKIA1' },
  requestParameters: { password: 'hunter2' },
  ...more,
})

test('uses are of who did it, of the key, and of the role that was lent, those of a day together', () => {
  const assumed = {
    type: 'AssumedRole',
    principalId: 'AROA1:job',
    accountId: ACCOUNT,
    accessKeyId: 'ASIA1',
    sessionContext: { sessionIssuer: { principalId: 'AROA1' } },
  }
  const records = [
    event(),
    event({ eventTime: '2026-11-01T11:00:00Z' }),
    event({ errorCode: 'AccessDenied' }),
    event({ userIdentity: assumed }),
    event({
      eventName: 'AssumeRole',
      eventSource: 'sts.amazonaws.com',
      userIdentity: { type: 'AWSService' },
      responseElements: { assumedRoleUser: { assumedRoleId: 'AROA2:x' } },
    }),
    event({ userIdentity: { type: 'IAMUser', principalId: 'AIDA9', accountId: '999999999999' } }),
    { eventTime: 'yesterday' },
    null,
  ]
  const read = readRecords({ Records: records }, ACCOUNT)
  assert.deepEqual(
    read?.uses.map(({ subject, semantics, privilege, count, at }) => [
      subject.id,
      semantics,
      privilege,
      count,
      at.toISOString().slice(11, 16),
    ]),
    [
      ['AIDA1', 'api-call', 's3:GetObject', 2, '11:00'],
      ['AKIA1', 'api-call', 's3:GetObject', 2, '11:00'],
      ['AIDA1', 'api-call', undefined, 1, '10:05'],
      ['AKIA1', 'api-call', undefined, 1, '10:05'],
      ['AROA1', 'api-call', 's3:GetObject', 1, '10:05'],
      ['AROA2', 'assume', undefined, 1, '10:05'],
    ],
  )
  assert.equal(read?.unread, 2)
  assert.ok(!JSON.stringify(read).includes('hunter2'))
  assert.equal(readRecords({ records: [] }, ACCOUNT), undefined)
})

/** A folder as a trail fills it: hours of one region, each with one file and its digest. */
async function trail(t: Pick<TestContext, 'after'>) {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-trail-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const { url } = await stub(t, () => undefined)
  const region = (name: string) => join(folder, name)
  const log = (of: string, hour: number, records: object[]) => {
    mkdirSync(region(of), { recursive: true })
    const name = `${ACCOUNT}_CloudTrail_${of}_20261101T${String(hour).padStart(2, '0')}30Z_abc.json.gz`
    const text = JSON.stringify({ Records: records })
    writeFileSync(join(region(of), name), gzipSync(text))
    return { s3Object: `AWSLogs/${name}`, hashValue: sha256(text).toString('hex'), hashAlgorithm: 'SHA-256' }
  }
  const digest = (of: string, hour: number, logFiles: object[]) => {
    mkdirSync(region(of), { recursive: true })
    const at = (h: number) => `2026-11-01T${String(h).padStart(2, '0')}:00:00Z`
    const name = `${ACCOUNT}_CloudTrail-Digest_${of}_main_eu-west-1_20261101T${String(hour + 1).padStart(2, '0')}0000Z.json.gz`
    writeFileSync(
      join(region(of), name),
      gzipSync(JSON.stringify({ digestStartTime: at(hour), digestEndTime: at(hour + 1), logFiles })),
    )
  }
  const read = (cursor?: string, more = { trailSeesAll: true }) =>
    reading({ endpoint: url, trail: folder, ...more }, 'trail', cursor)
  return { folder, log, digest, read }
}

const windowsOf = ({ told }: { readonly told: readonly Observation[] }) =>
  told.flatMap((one) =>
    one.kind === 'usage-window'
      ? [
          [
            one.sees,
            one.from.toISOString().slice(11, 16),
            one.to.toISOString().slice(11, 16),
            (one.gaps ?? []).map(([a, b]) => `${a.toISOString().slice(11, 16)}-${b.toISOString().slice(11, 16)}`),
          ],
        ]
      : [],
  )
const usesOf = ({ told }: { readonly told: readonly Observation[] }) =>
  told.filter(({ kind }) => kind === 'usage').length

test('the want of use is proven by digests of every hour and region, and read on from where it ended', async (t) => {
  const { log, digest, read } = await trail(t)
  for (const hour of [8, 9, 10])
    digest('eu-west-1', hour, [
      log('eu-west-1', hour, [event({ eventTime: `2026-11-01T${String(hour).padStart(2, '0')}:05:00Z` })]),
    ])
  for (const hour of [8, 9, 10]) digest('us-east-1', hour, [])
  const first = await read()
  digest('eu-west-1', 11, [log('eu-west-1', 11, [event({ eventTime: '2026-11-01T11:05:00Z' })])])
  const early = await read(first.cursor)
  digest('us-east-1', 11, [])
  const second = await read(early.cursor)
  const again = await read(second.cursor)

  assert.deepEqual(windowsOf(first), [['every-use', '08:00', '10:00', []]])
  assert.equal(usesOf(first), 6)
  assert.equal(first.report.status, 'complete')
  assert.deepEqual([windowsOf(early), usesOf(early)], [[], 2])
  assert.deepEqual([windowsOf(second), usesOf(second)], [[['every-use', '10:00', '11:00', []]], 0])
  assert.deepEqual([windowsOf(again), usesOf(again)], [[], 0])
  assert.deepEqual(windowsOf(await read(undefined, { trailSeesAll: false })), [['samples', '08:00', '11:00', []]])
})

test('attack: a file that was taken away, edited or came late, and an hour without a digest, prove nothing', async (t) => {
  const { folder, log, digest, read } = await trail(t)
  const taken = log('eu-west-1', 9, [event()])
  digest('eu-west-1', 8, [log('eu-west-1', 8, [event()])])
  digest('eu-west-1', 9, [{ ...taken, s3Object: taken.s3Object.replace('_abc', '_gone') }])
  digest('eu-west-1', 10, [{ ...log('eu-west-1', 10, [event({ userIdentity: {} })]), hashValue: taken.hashValue }])
  digest('eu-west-1', 12, [])
  digest('eu-west-1', 13, [])
  const first = await read()
  log('eu-west-1', 7, [event()])
  digest('eu-west-1', 14, [])
  const late = await read(first.cursor)
  writeFileSync(
    join(folder, `${ACCOUNT}_CloudTrail_eu-west-1_20261101T1500Z_bomb.json.gz`),
    gzipSync(Buffer.alloc(65 * 1024 * 1024)),
  )
  appendFileSync(join(folder, `${ACCOUNT}_CloudTrail_eu-west-1_20261101T1501Z_cut.json.gz`), 'not packed')
  const bomb = await read(late.cursor)

  assert.deepEqual(windowsOf(first), [['every-use', '08:00', '13:00', ['09:00-12:00']]])
  assert.equal(first.report.status, 'partial')
  assert.deepEqual(windowsOf(late), [['samples', '13:00', '14:00', []]])
  assert.ok(late.report.missing.some(({ what }) => what === '1 files'))
  assert.ok(bomb.report.missing.some(({ what }) => what === '2 files'))
})

test('without digests events prove use and never the want of it', async (t) => {
  const { log, read } = await trail(t)
  log('eu-west-1', 8, [event(), event({ eventTime: '2026-11-01T12:00:00Z' })])
  const told = await read()

  assert.deepEqual(windowsOf(told), [['samples', '10:05', '12:00', []]])
  assert.match(told.report.missing[0]?.permission ?? '', /log file validation/)
})
