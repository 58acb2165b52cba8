/** Names of tokens and of keys in them (RFC 7512). What would hold a PIN, or name another module, is refused: both stand in the configuration. */

/** What a name may say of a token. */
export type TokenUri = Partial<Record<'token' | 'manufacturer' | 'serial' | 'model' | 'slotDescription', string>> & {
  readonly slotId?: bigint
}

/** A key in a token, by its identifier; the label is for people. */
export type KeyUri = { readonly id: Buffer; readonly label: string }

// RFC 7512 §2.3: only these are needed to tell tokens apart.
const TOKEN_ATTRIBUTES = {
  token: 'token',
  manufacturer: 'manufacturer',
  serial: 'serial',
  model: 'model',
  'slot-description': 'slotDescription',
} as const
const MOST_CHARS = 1_000
const MOST_ID_BYTES = 64

/** Throws a sentence for what names no token. */
export function parseTokenUri(text: string): TokenUri {
  const attributes = attributesOf(text)
  const uri: Record<string, string | bigint> = {}
  for (const [name, bytes] of attributes) {
    const value = bytes.toString('utf8')
    if (name === 'slot-id') {
      if (!/^\d{1,19}$/.test(value)) throw new Error(`slot-id in ${text} is no number`)
      uri['slotId'] = BigInt(value)
    } else if (isTokenAttribute(name)) {
      uri[TOKEN_ATTRIBUTES[name]] = value
    } else {
      throw new Error(
        `${name} in ${text} does not tell tokens apart: use token, serial, model, manufacturer or slot-id`,
      )
    }
  }
  if (attributes.size === 0)
    throw new Error('a name of a token says at least one thing of it, such as pkcs11:token=reeve')
  return uri
}

/** The identifier is written in full percent-encoding, as it is bytes (RFC 7512 §2.3). */
export function formatKeyUri({ id, label }: KeyUri): string {
  const bytes = [...id].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  return `pkcs11:id=${bytes};object=${encodeURIComponent(label)};type=private`
}

/** Undefined for what is no name of a private key as `formatKeyUri` writes them. */
export function parseKeyUri(text: string): KeyUri | undefined {
  try {
    const attributes = attributesOf(text)
    const [id, label, type] = ['id', 'object', 'type'].map((name) => attributes.get(name))
    if (attributes.size !== 3 || !id || !label || type?.toString('latin1') !== 'private') return undefined
    if (id.length === 0 || id.length > MOST_ID_BYTES) return undefined
    return { id, label: label.toString('utf8') }
  } catch {
    return undefined
  }
}

function isTokenAttribute(name: string): name is keyof typeof TOKEN_ATTRIBUTES {
  return Object.hasOwn(TOKEN_ATTRIBUTES, name)
}

function attributesOf(text: string): Map<string, Buffer> {
  const [, path = ''] = /^pkcs11:([^?]*)$/.exec(text.length <= MOST_CHARS ? text : '') ?? []
  if (!text.startsWith('pkcs11:') || (path === '' && text !== 'pkcs11:')) {
    throw new Error(
      'a token is named as pkcs11:token=reeve (RFC 7512), without a query: PIN and module stand beside it',
    )
  }
  const attributes = new Map<string, Buffer>()
  for (const part of path === '' ? [] : path.split(';')) {
    const [, name, value] = /^([a-z-]+)=([^=]*)$/.exec(part) ?? []
    if (name === undefined || value === undefined) throw new Error(`${part} in the name of a token is no attribute`)
    // RFC 7512 §2.3: an attribute stands once.
    if (attributes.has(name)) throw new Error(`${name} stands twice in ${text}`)
    attributes.set(name, bytesOf(value))
  }
  return attributes
}

function bytesOf(value: string): Buffer {
  // RFC 7512 §2.3: unreserved characters, those of pk11-res-avail, and percent-encoding.
  if (!/^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,&]|%[0-9A-Fa-f]{2})*$/.test(value)) {
    throw new Error(`${value} in the name of a token has to be percent-encoded`)
  }
  const bytes: number[] = []
  for (let at = 0; at < value.length; at += 1) {
    if (value[at] !== '%') {
      bytes.push(value.charCodeAt(at))
      continue
    }
    bytes.push(Number.parseInt(value.slice(at + 1, at + 3), 16))
    at += 2
  }
  return Buffer.from(bytes)
}
