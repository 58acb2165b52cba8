import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { planeWorld, storyWorld } from '../../../test/support/plane-world.ts'
import { postgresTestbed } from '../../../test/support/postgres-testbed.ts'
import { openAuthority } from '../../kernel/ca.ts'
import { systemClock } from '../../kernel/clock.ts'
import { systemRandom } from '../../kernel/random.ts'
import { conform } from '../conformance.ts'
import { postgresGateway } from './gateway.ts'

test('the PostgreSQL gateway keeps the promises of every gateway', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-conform-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const authority = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const server = await authority.issueServer(['localhost'])
  const { protocol, actions } = postgresGateway()
  const tls = () => ({ key: server.key, cert: server.cert, clientCa: authority.certificate })
  const world = await planeWorld(t, { protocol, actions, tls })
  await using testbed = await postgresTestbed(authority.certificate)

  await conform(t, testbed, storyWorld(world))
})
