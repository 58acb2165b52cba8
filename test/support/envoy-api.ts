/** The part of Envoy's API that is spoken, declared for somebody else's implementation of gRPC and Protocol Buffers. */
import { create, createFileRegistry } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'
import { createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'

type Declared = Readonly<Record<string, readonly [number: number, type: string, many?: boolean]>>
const { STRING, BYTES, INT32, BOOL, MESSAGE } = FieldDescriptorProto_Type
const SCALARS: Readonly<Record<string, FieldDescriptorProto_Type>> = {
  string: STRING,
  bytes: BYTES,
  int32: INT32,
  bool: BOOL,
}

function message(name: string, fields: Declared) {
  return {
    name,
    field: Object.entries(fields).map(([field, [number, type, many = false]]) => ({
      name: field,
      jsonName: field,
      number,
      type: SCALARS[type] ?? MESSAGE,
      typeName: SCALARS[type] === undefined ? `.envoy.service.auth.v3.${type}` : '',
      label: many ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
    })),
  }
}

const file = create(FileDescriptorProtoSchema, {
  name: 'auth.proto',
  package: 'envoy.service.auth.v3',
  syntax: 'proto3',
  messageType: [
    message('CheckRequest', { attributes: [1, 'Attributes'] }),
    message('Attributes', { source: [1, 'Peer'], destination: [2, 'Peer'], request: [4, 'Request'] }),
    message('Peer', { service: [2, 'string'], principal: [4, 'string'], certificate: [5, 'string'] }),
    message('Request', { http: [2, 'HttpRequest'] }),
    message('HttpRequest', {
      id: [1, 'string'],
      method: [2, 'string'],
      // On the wire a map is a list of entries.
      headers: [3, 'Entry', true],
      path: [4, 'string'],
      host: [5, 'string'],
      size: [9, 'int32'],
      headerMap: [13, 'HeaderMap'],
    }),
    message('Entry', { key: [1, 'string'], value: [2, 'string'] }),
    message('HeaderMap', { headers: [1, 'RawHeader', true] }),
    message('RawHeader', { key: [1, 'string'], value: [2, 'string'], rawValue: [3, 'bytes'] }),
    message('CheckResponse', { status: [1, 'Status'], denied: [2, 'Denied'], ok: [3, 'Ok'] }),
    message('Status', { code: [1, 'int32'] }),
    message('HttpStatus', { code: [1, 'int32'] }),
    message('Denied', { status: [1, 'HttpStatus'], headers: [2, 'Option', true], body: [3, 'string'] }),
    message('Ok', { headers: [2, 'Option', true], remove: [5, 'string', true] }),
    message('Option', { header: [1, 'Entry'], action: [3, 'int32'] }),
  ],
  service: [
    {
      name: 'Authorization',
      method: [
        {
          name: 'Check',
          inputType: '.envoy.service.auth.v3.CheckRequest',
          outputType: '.envoy.service.auth.v3.CheckResponse',
        },
      ],
    },
  ],
})
const service = createFileRegistry(file, () => undefined).getService('envoy.service.auth.v3.Authorization')

type Option = { readonly header: { readonly key: string; readonly value: string }; readonly action: number }
export type CheckAnswer = {
  readonly status?: { readonly code: number }
  readonly denied?: { readonly status: { readonly code: number }; readonly headers: Option[]; readonly body: string }
  readonly ok?: { readonly headers: Option[]; readonly remove: string[] }
}
type Client = { check(request: object, options: { headers: Record<string, string> }): Promise<CheckAnswer> }

/** What a proxy says: a request with its headers, and what it knows of the peer. */
export type Said = {
  readonly method?: string
  readonly host?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly principal?: string
  readonly raw?: boolean
}

/** A client of `Check` by Connect and Protobuf-ES. */
export function checkClient(
  port: number,
  token: string | undefined,
  tls?: object,
): (said: Said) => Promise<CheckAnswer> {
  if (!service) throw new Error('the service is not declared')
  const transport = createGrpcTransport({
    baseUrl: `${tls ? 'https://localhost' : 'http://127.0.0.1'}:${port}`,
    ...(tls && { nodeOptions: tls }),
  })
  const client = createClient(service, transport) as unknown as Client
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return ({ method = 'GET', host = 'shop.example', path = '/', headers: given = {}, principal = '', raw = false }) => {
    const entries = Object.entries(given).map(([key, value]) => ({ key, value }))
    const rawHeaders = entries.map(({ key, value }) => ({ key, rawValue: Buffer.from(value) }))
    const named = raw ? { headerMap: { headers: rawHeaders } } : { headers: entries }
    const http = { method, host, path, ...named }
    return client.check({ attributes: { source: { principal }, request: { http } } }, { headers })
  }
}
