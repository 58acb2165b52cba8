import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runningCluster } from '../../../test/support/database.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Given } from '../connector.ts'
import { openSession } from './session.ts'

test('what is wrong with an address or a login is told by its code and in words', async () => {
  const { host, port, database, user } = runningCluster().owner
  const at = { host, port, database, tls: { mode: 'disable' } }
  const enter = (settings: object, password: string) => {
    const given: Partial<Given> = { settings, credential: new Secret(JSON.stringify({ user, password })) }
    return openSession(given as Given, {}, new AbortController().signal)
  }

  await assert.rejects(enter({ ...at, host: '127.0.0.1', port: 1 }, 'x'), /\(ECONNREFUSED\): nothing listens/)
  await assert.rejects(enter({ ...at, host: 'nowhere.invalid' }, 'x'), /\(ENOTFOUND\): its name has no address/)
  await assert.rejects(enter(at, 'wrong'), /\(28P01\): the name or the password/)
})
