import { z } from 'zod'
import type { Client } from '../client.ts'
import { EXIT, Failure } from '../failure.ts'
import type { Io } from '../io.ts'
import { handedFor, isSameServer, valueOf, type HookTerms } from './grant.ts'

const VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'] as const

/** What kubectl says of itself in `KUBERNETES_EXEC_INFO`: the version it reads, and the cluster where `provideClusterInfo` is set. */
const ExecInfo = z.object({
  apiVersion: z.enum(VERSIONS),
  spec: z.object({ cluster: z.object({ server: z.string().max(2000) }).optional() }).optional(),
})

/** Prints an `ExecCredential`. A token goes to the cluster it is for and to no other that a kubeconfig names. */
export async function printExecCredential(io: Io, client: Client, terms: HookTerms): Promise<void> {
  const info = infoIn(io)
  const handed = await handedFor(io, client, terms, { kind: 'kubernetes-token' })
  const server = info?.spec?.cluster?.server
  if (server !== undefined && !isSameServer(server, handed.about['server'])) {
    throw new Failure(
      EXIT.usage,
      `The kubeconfig names another server than that of ${terms.target}: nothing was printed.`,
    )
  }
  const status = { expirationTimestamp: handed.validBefore.toISOString(), token: valueOf(handed, 'token') }
  io.stdout.write(
    `${JSON.stringify({ apiVersion: info?.apiVersion ?? VERSIONS[0], kind: 'ExecCredential', status })}\n`,
  )
}

function infoIn({ env }: Io): z.output<typeof ExecInfo> | undefined {
  const text = env['KUBERNETES_EXEC_INFO']
  if (text === undefined || text === '') return undefined
  try {
    return ExecInfo.parse(JSON.parse(text))
  } catch {
    throw new Failure(EXIT.usage, `KUBERNETES_EXEC_INFO is not that of ${VERSIONS.join(' or ')}.`)
  }
}
