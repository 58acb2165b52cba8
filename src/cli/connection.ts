import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Secret } from '../kernel/secret.ts'
import { readContexts, type Context } from './contexts.ts'
import { usage } from './failure.ts'
import type { Io } from './io.ts'

/** Which server is called, what is trusted of it, and how the caller proves itself. */
export type Connection = {
  readonly address: URL
  /** PEM of the CA that the server's certificate must come from; the system's own CAs without one. */
  readonly authority: string | undefined
  readonly token: Secret | undefined
  /** A client certificate with its key, to which the token is bound. PEM. */
  readonly client: { readonly certificate: string; readonly key: Secret } | undefined
  readonly context: string | undefined
}

/**
 * Variables over the context in use. A context's token and key go to that context's address only: whoever sets REEVE_ADDR gets nothing that
 * was meant for another server.
 */
export function connectionOf(io: Io, contextName: string | undefined): Connection {
  const { env } = io
  const contexts = readContexts(io)
  const wanted = contextName ?? nonEmpty(env['REEVE_CONTEXT'])
  const chosen = wanted === undefined ? contexts.current : wanted
  const named = chosen === undefined ? undefined : contexts.contexts[chosen]
  if (wanted !== undefined && !named) {
    throw usage(`There is no context named ${wanted}.`, 'List them with: reeve context list')
  }
  const given = nonEmpty(env['REEVE_ADDR'])
  const address = addressOf(given ?? named?.address)
  const context = named && addressOf(named.address).origin === address.origin ? named : undefined
  return {
    address,
    authority: fileOf(io, 'REEVE_CACERT') ?? context?.authority,
    ...proofOf(io, context),
    context: context ? chosen : undefined,
  }
}

type Proof = Pick<Connection, 'token' | 'client'>

function proofOf(io: Io, context: Context | undefined): Proof {
  const { env } = io
  const token = nonEmpty(env['REEVE_TOKEN']) ?? fileOf(io, 'REEVE_TOKEN_FILE')?.trim()
  const certificate = fileOf(io, 'REEVE_CLIENT_CERT')
  const key = fileOf(io, 'REEVE_CLIENT_KEY')
  if ((certificate === undefined) !== (key === undefined)) {
    throw usage('REEVE_CLIENT_CERT and REEVE_CLIENT_KEY are given together.')
  }
  const own = certificate !== undefined && key !== undefined ? { certificate, key: new Secret(key) } : undefined
  // A proof is taken whole from one place: a token of one identity with the key of another proves nothing.
  if (token !== undefined || own) return { token: token === undefined ? undefined : new Secret(token), client: own }
  return {
    token: context?.token === undefined ? undefined : new Secret(context.token),
    client:
      context?.certificate !== undefined && context.key !== undefined
        ? { certificate: context.certificate, key: new Secret(context.key) }
        : undefined,
  }
}

/** An address as typed; throws unless it is one that a token may be sent to. */
export function addressOf(text: string | undefined): URL {
  if (text === undefined) {
    throw usage(
      'No server is known yet.',
      'Enrol with the link you were given: reeve enrol <link>',
      'or name one: REEVE_ADDR=https://host:7300',
    )
  }
  const url = URL.parse(text)
  if (!url || !['https:', 'http:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
    throw usage(`${text} is no address of a server: write https://host:7300.`)
  }
  const isLocal = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(url.hostname)
  if (url.protocol === 'http:' && !isLocal) {
    throw usage('Without TLS only this machine itself may be called: a token would travel in plain text.')
  }
  return url
}

function fileOf(io: Io, variable: string): string | undefined {
  const path = nonEmpty(io.env[variable])
  if (path === undefined) return undefined
  try {
    return readFileSync(resolve(io.workingFolder, path), 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw usage(`The file that ${variable} names cannot be read (${code}).`)
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text
}
