/** A whole node that a proxy asks, in a process of its own. Started by bench/envoy.ts. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { enrolFounder, redeem } from '../../demo/people.ts'
import { registerTarget } from '../../src/catalog/contract.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { loadConfig } from '../../src/kernel/config.ts'
import { openLog } from '../../src/kernel/log.ts'
import { startServer } from '../../src/server.ts'

export type AskedSite = { readonly port: number; readonly ca: string; readonly proxy: string; readonly person: string }

process.once('message', ({ folder }: { folder: string }) => {
  start(folder).then(
    (ready) => process.send?.({ ready }),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})

async function start(folder: string): Promise<AskedSite> {
  const file = join(folder, 'reeve.yaml')
  const config = {
    home: join(folder, 'home'),
    teams: { administrators: { members: ['ada'] }, shop: { members: ['ada'] } },
    api: { port: 0 },
    gateways: { postgres: { port: 0 } },
    authzen: { entries: 'privileged' },
    mesh: {
      enforcementPoint: 'edge',
      port: 0,
      routes: [
        {
          hosts: ['localhost'],
          methods: ['GET'],
          path: '/targets/{name}',
          action: 'target.read',
          resource: { type: 'target', id: '{name}' },
        },
      ],
    },
    limits: { requestsPerSecond: 100_000, requestBurst: 100_000 },
  }
  // YAML reads JSON.
  writeFileSync(file, JSON.stringify(config))
  const server = await startServer(loadConfig({ env: {}, workingFolder: folder, file }), openLog('error'))
  process.once('disconnect', () => void server[Symbol.asyncDispose]().then(() => process.exit()))
  const ada = await enrolFounder(server)
  const settings = { host: '127.0.0.1', port: 1, tls: { mode: 'disable' } }
  await ada.ask(registerTarget, {
    input: { name: 'shop', protocol: 'postgres', environment: 'staging', ownerTeam: 'shop', settings },
  })
  const edge = { kind: 'workload', name: 'edge', profile: 'service', ownerTeam: 'shop', owner: 'ada' } as const
  await ada.ask(registerIdentity, { input: edge })
  await ada.ask(attestOwner, { params: { identity: 'edge' } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: 'edge' }, input: {} })
  const proxy = await redeem(server, secret)
  return {
    port: server.meshPort,
    ca: server.authority.certificate,
    proxy: proxy.connection.token?.reveal() ?? '',
    person: ada.connection.token?.reveal() ?? '',
  }
}
