import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { SECRET_VALUE, TOKEN } from './api-server.fixture.ts'
import { readAuditEvents, useOf } from './audit-events.ts'
import { kubernetesConnector } from './connector.ts'
import { data, stubbed } from './shop.fixture.ts'

const event = (more: object = {}) => ({
  kind: 'Event',
  stage: 'ResponseComplete',
  verb: 'get',
  user: { username: 'system:serviceaccount:shop:cart', uid: 'sa-cart' },
  objectRef: { resource: 'secrets', namespace: 'shop', name: 'db' },
  responseStatus: { code: 200 },
  sourceIPs: ['10.0.0.9'],
  requestReceivedTimestamp: '2026-03-01T10:00:00.000000Z',
  requestObject: { data },
  ...more,
})

test('audit events are counted once, at their last stage, by who acts, and a refusal uses no right', () => {
  const batch = {
    kind: 'EventList',
    apiVersion: 'audit.k8s.io/v1',
    items: [
      event({ stage: 'RequestReceived' }),
      event(),
      event({ responseStatus: { code: 403 } }),
      event({ responseStatus: { code: 401 }, user: { username: 'system:anonymous' } }),
      event({ user: { username: 'ann' }, impersonatedUser: { username: 'bob' } }),
      event({ user: { username: 'system:serviceaccount:shop:gone' } }),
      'nonsense',
    ],
  }
  const { events, unread } = readAuditEvents(JSON.stringify(batch))
  const uses = events.flatMap((each) => useOf(each, () => undefined))

  assert.equal(unread, 1)
  assert.deepEqual(
    uses.map((use) => use.kind === 'usage' && [use.subject.id, use.privilege, use.actor.known && use.actor.value.id]),
    [
      ['sa-cart', 'get core/secrets', false],
      ['sa-cart', undefined, false],
      ['bob', 'get core/secrets', 'ann'],
      ['shop/gone', 'get core/secrets', false],
    ],
  )
  assert.ok(!JSON.stringify(uses).includes(SECRET_VALUE))
  assert.deepEqual(readAuditEvents('{"cut'), { events: [], unread: 1 })
})

test('the audit log is read on, its window grows, a rotation is a gap, and half a line waits', async (t) => {
  const stub = await stubbed(t)
  const folder = mkdtempSync(join(tmpdir(), 'reeve-audit-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const auditLog = join(folder, 'audit.log')
  const line = (at: string) => `${JSON.stringify(event({ requestReceivedTimestamp: at }))}\n`
  writeFileSync(
    auditLog,
    `${line('2026-03-01T10:00:00Z')}${line('2026-03-01T11:00:00Z')}no event\n${line('2026-03-01T12:00:00Z').slice(0, 40)}`,
  )
  const i = await inventoryWorld(t)
  const id = await i.source(
    kubernetesConnector,
    { url: stub.url, auditLog, auditSeesAll: true },
    { credential: { token: TOKEN } },
  )
  const audit = async () => (await i.collect(id)).scopes.find(({ scope }) => scope === 'audit')
  const counted = async () => (await i.snapshot()).filter((row) => row.startsWith('observed_usage')).length

  assert.equal((await audit())?.status, 'partial')
  assert.ok((await counted()) > 0)
  appendFileSync(auditLog, line('2026-03-01T12:00:00Z').slice(40))
  assert.equal((await audit())?.status, 'complete')
  assert.equal(await i.count('usage_window', `sees = 'every-use' and seen @> '2026-03-01T11:30:00Z'::timestamptz`), 1)
  renameSync(auditLog, join(folder, 'audit-1.log'))
  writeFileSync(auditLog, line('2026-03-02T12:00:00Z'))
  const rotated = await audit()
  assert.deepEqual(
    [rotated?.status, rotated?.missing[0]?.why],
    ['partial', 'the log was rotated since the last reading'],
  )
  rmSync(auditLog)
  symlinkSync('/etc/passwd', auditLog)
  assert.equal((await audit())?.status, 'partial')
})
