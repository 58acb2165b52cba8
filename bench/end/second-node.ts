import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { z } from 'zod'
import type { Connection } from '../../src/kernel/db.ts'

export type SecondNode = AsyncDisposable & { readonly port: number }

/** Starts another node on the same folder and database and waits until its gateway listens. */
export async function startSecondNode(folder: string, connection: Connection): Promise<SecondNode> {
  const child = fork(join(import.meta.dirname, 'node-process.ts'))
  child.send({ folder, databaseUrl: urlOf(connection) })
  const failed = once(child, 'exit').then(() => {
    throw new Error('the second node did not start')
  })
  const [message]: unknown[] = await Promise.race([once(child, 'message'), failed])
  failed.catch(() => undefined)
  return {
    port: z.object({ port: z.int() }).parse(message).port,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}

function urlOf({ host, port, user, password, database }: Connection): string {
  const parameters = new URLSearchParams({
    host,
    port: String(port),
    user,
    password: password.reveal(),
    dbname: database,
  })
  return `postgresql://localhost/?${parameters.toString()}`
}
