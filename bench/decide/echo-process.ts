/** A bare Fastify that parses JSON and sends it back, over the same TLS as the node. Started by http.ts. */
import { fastify } from 'fastify'

process.once('message', (tls: { key: string; cert: string }) => {
  const app = fastify({ https: { ...tls, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] } })
  app.post('/echo', async (request) => request.body)
  app.listen({ host: '127.0.0.1', port: 0 }).then(
    () => {
      const address = app.server.address()
      process.send?.({ port: typeof address === 'object' ? address?.port : 0 })
    },
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.({ told: user + system })
  })
})
process.on('disconnect', () => process.exit())
