/** A whole node as it is shipped, with its own PostgreSQL that syncs each commit, and a workload that is let in by the token of its pod. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { enrolFounder, redeem } from '../../demo/people.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { loadConfig } from '../../src/kernel/config.ts'
import { newKeyPair } from '../../src/kernel/key-pair.ts'
import { openLog } from '../../src/kernel/log.ts'
import { startServer, type RunningServer } from '../../src/server.ts'
import { createTrustRule } from '../../src/tokens/contract.ts'
import type { ReeveReady } from './reeve.ts'
import { requestOf } from './requests.ts'

const SUBJECT = 'system:serviceaccount:bench:issuer'
const ISSUER = 'https://k8s.example'

process.once('message', ({ folder }: { folder: string }) => {
  start(folder).then(
    ({ server, ready }) => {
      process.once('disconnect', () => void server[Symbol.asyncDispose]().then(() => process.exit()))
      process.send?.(ready)
    },
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})

async function start(folder: string): Promise<{ server: RunningServer; ready: ReeveReady }> {
  const file = join(folder, 'reeve.yaml')
  const config = {
    home: join(folder, 'home'),
    api: { port: 0 },
    gateways: { postgres: { port: 0 } },
    teams: { administrators: { members: ['ada'] } },
    spiffe: { trustDomain: 'bench.example' },
    limits: { requestsPerSecond: 100_000, requestBurst: 1_000_000 },
  }
  // YAML reads JSON.
  writeFileSync(file, JSON.stringify(config))
  const server = await startServer(loadConfig({ env: {}, workingFolder: folder, file }), openLog('error'))
  const { authority } = server
  const { cert, key } = await authority.issueServer(['localhost', '127.0.0.1'])
  const { connection, requests } = await workload(server)
  const { certificate = '', key: own } = connection.client ?? {}
  const client = { cert: certificate, key: own?.reveal() ?? '' }
  const door = { port: server.api.port, ca: authority.certificate, client }
  return { server, ready: { ready: { door, requests, cert, key: key.reveal() } } }
}

async function workload(server: RunningServer) {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const { x = '', y = '' } = await exportJWK(publicKey)
  const ada = await enrolFounder(server)
  const job = { kind: 'workload', name: 'job', profile: 'service', owner: 'ada', ownerTeam: 'administrators' } as const
  await ada.ask(registerIdentity, { input: job })
  await ada.ask(attestOwner, { params: { identity: 'job' } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: 'job' }, input: {} })
  const { connection } = await redeem(server, secret, {}, true)
  const keys = { keys: [{ kty: 'EC', crv: 'P-256', x, y }] }
  const rule = { name: 'job', preset: 'kubernetes', issuer: ISSUER, subject: { is: SUBJECT }, keys } as const
  await ada.ask(createTrustRule, { params: { identity: 'job' }, input: rule })
  const assertion = await new SignJWT({ sub: SUBJECT, iss: ISSUER, aud: server.domains.tokens.needs.issuer() })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey)
  const form = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion })
  const authorization = `Bearer ${connection.token?.reveal() ?? ''}`
  const pair = await newKeyPair()
  const json = { authorization, 'content-type': 'application/json' }
  const requests = {
    token: requestOf('POST', '/oauth2/token', { 'content-type': 'application/x-www-form-urlencoded' }, form.toString()),
    svid: requestOf('POST', '/v1/identities/job/x509-svids', json, JSON.stringify({ publicKey: pair.publicKey })),
  }
  return { connection, requests }
}
