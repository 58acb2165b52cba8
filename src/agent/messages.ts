/** The messages of the Workload API. https://github.com/spiffe/spiffe/blob/main/standards/workloadapi.proto */
import { field, numberField, readFields, textOf } from '../kernel/grpc/protobuf.ts'

export type X509SvidMessage = {
  readonly spiffeId: string
  /** Certificates in DER, the leaf first. */
  readonly certificates: Buffer
  /** PKCS #8 in DER. */
  readonly key: Buffer
  readonly bundle: Buffer
  readonly hint: string | null
}

/** A bundle for each trust domain, by its ID. */
export type BundleMap = readonly (readonly [trustDomain: string, bundle: Buffer])[]

export function x509SvidResponse(svids: readonly X509SvidMessage[], federated: BundleMap): Buffer {
  const messages = svids.map(({ spiffeId, certificates, key, bundle, hint }) =>
    Buffer.concat([
      field(1, spiffeId),
      field(2, certificates),
      field(3, key),
      field(4, bundle),
      ...(hint === null ? [] : [field(5, hint)]),
    ]),
  )
  return Buffer.concat([...messages.map((message) => field(1, message)), ...mapOf(3, federated)])
}

export function x509BundlesResponse(bundles: BundleMap): Buffer {
  return Buffer.concat(mapOf(2, bundles))
}

export function jwtBundlesResponse(bundles: BundleMap): Buffer {
  return Buffer.concat(mapOf(1, bundles))
}

function mapOf(number: number, entries: BundleMap): Buffer[] {
  return entries.map(([key, value]) => field(number, Buffer.concat([field(1, key), field(2, value)])))
}

export function jwtSvidResponse(
  svids: readonly { readonly spiffeId: string; readonly token: string; readonly hint: string | null }[],
): Buffer {
  return Buffer.concat(
    svids.map(({ spiffeId, token, hint }) =>
      field(1, Buffer.concat([field(1, spiffeId), field(2, token), ...(hint === null ? [] : [field(3, hint)])])),
    ),
  )
}

export function readJwtSvidRequest(message: Buffer): {
  readonly audience: readonly string[]
  readonly spiffeId: string
} {
  const audience: string[] = []
  let spiffeId = ''
  readFields(message, (number, value) => {
    if (number === 1) audience.push(textOf(value))
    if (number === 2) spiffeId = textOf(value)
  })
  return { audience, spiffeId }
}

export function readValidateRequest(message: Buffer): { readonly audience: string; readonly svid: string } {
  let [audience, svid] = ['', '']
  readFields(message, (number, value) => {
    if (number === 1) audience = textOf(value)
    if (number === 2) svid = textOf(value)
  })
  return { audience, svid }
}

export function validateResponse(spiffeId: string, claims: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.concat([field(1, spiffeId), field(2, structOf(claims))])
}

// google.protobuf.Struct: https://protobuf.dev/reference/protobuf/google.protobuf/#struct
function structOf(value: object): Buffer {
  const fields = Object.entries(value).map(([key, member]) =>
    field(1, Buffer.concat([field(1, key), field(2, valueOf(member))])),
  )
  return Buffer.concat(fields)
}

function valueOf(value: unknown): Buffer {
  if (typeof value === 'number') return double(2, value)
  if (typeof value === 'string') return field(3, value)
  if (typeof value === 'boolean') return numberField(4, value ? 1 : 0)
  if (Array.isArray(value)) return field(6, Buffer.concat(value.map((each) => field(1, valueOf(each)))))
  if (typeof value === 'object' && value !== null) return field(5, structOf(value))
  return numberField(1, 0)
}

/** A field of eight bytes (wire type 1). */
function double(number: number, value: number): Buffer {
  const bytes = Buffer.alloc(9)
  bytes.writeUInt8(number * 8 + 1, 0)
  bytes.writeDoubleLE(value, 1)
  return bytes
}
