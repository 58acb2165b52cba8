/** A second node in a process of its own, on the first one's home and database. Started by second-node.ts. */
import { openLog } from '../../src/kernel/log.ts'
import { startServer } from '../../src/server.ts'
import { configOf } from './installation.ts'

process.once('message', (given: { folder: string; databaseUrl: string }) => {
  startServer(configOf(given.folder, given.databaseUrl), openLog('error')).then(
    (server) => {
      process.once('disconnect', () => void server[Symbol.asyncDispose]().then(() => process.exit()))
      process.send?.({ port: server.gateways[0]?.port ?? 0 })
    },
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
