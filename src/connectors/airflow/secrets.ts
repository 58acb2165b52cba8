/**
 * Which values of a text that Airflow shows are secrets. It masks what it knows to be one, by name or because a task was given it, and only for
 * whom it knows: what stands in a harmless name, in an address or under a name that its list lacks comes in the clear.
 */
import { scan } from '../../scanner/scanner.ts'
import type { Clock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import { known, unknown, type CredentialFingerprint, type Given, type Known } from '../connector.ts'

/** What Airflow writes in place of what it hides. */
const MASK = '***'
const DEPTH_MAX = 8
const LEAVES_MAX = 500
/** Of one credential. */
const FINGERPRINTS_MAX = 10
/** More is looked at by whoever reads the code that it came from. */
const TEXT_MAX = 100_000

const SENSITIVE =
  /pass(?:word|wd|phrase)|passwd|secret|token|api_?key|access_?key|private_?key|signing_?key|credential|authorization|auth_?header|bearer|(?:^|_)dsn$|connection_?string|keyfile/i
/** Names of where something is, not of the thing. */
const ABOUT = /(?:url|uri|endpoint|path|file|_id|_name|_type|_ttl|expiry|expires?|timeout)$/i

function isSensitive(name: string): boolean {
  return SENSITIVE.test(name) && !ABOUT.test(name)
}

export type Looking = { readonly clock: Clock; readonly fingerprint: Given['fingerprint'] }
export type Met = {
  /** Where each stands: `password`, `extra api_key`. */
  readonly places: readonly string[]
  /** Those that Airflow hides. */
  readonly masked: readonly string[]
  readonly fingerprints: readonly CredentialFingerprint[]
}

const NOTHING: Met = { places: [], masked: [], fingerprints: [] }

export function together(all: readonly Met[]): Met {
  const prints = new Map(all.flatMap((met) => met.fingerprints).map((print) => [`${print.alg}:${print.value}`, print]))
  return {
    places: all.flatMap(({ places }) => places),
    masked: all.flatMap(({ masked }) => masked),
    fingerprints: [...prints.values()].slice(0, FINGERPRINTS_MAX),
  }
}

/** What can be said of them: where all are hidden the source does not show them, to anybody. */
export function fingerprintsOf({ places, fingerprints }: Met): Known<CredentialFingerprint[]> {
  return fingerprints.length === 0 && places.length > 0 ? unknown('unsupported') : known([...fingerprints])
}

/** A value that is a secret by where it stands. */
export function secretAt(looking: Looking, place: string, value: string | null | undefined): Met {
  if (value === null || value === undefined || value === '') return NOTHING
  if (value.includes(MASK)) return { places: [place], masked: [place], fingerprints: [] }
  return { places: [place], masked: [], fingerprints: [looking.fingerprint(new Secret(value))] }
}

/** A text that may be JSON, name by name. */
export async function secretsIn(looking: Looking, place: string, text: string, signal: AbortSignal): Promise<Met> {
  const whole = objectOf(text)
  if (whole === undefined) return secretsOfLeaf(looking, { place, name: place, value: text }, signal)
  const found: Met[] = []
  for (const leaf of leavesOf(whole, place)) found.push(await secretsOfLeaf(looking, leaf, signal))
  return together(found)
}

/** A text that is told: what in it is a secret is left out, and the text with it. */
export async function harmless(
  looking: Looking,
  place: string,
  text: string | null | undefined,
  signal: AbortSignal,
): Promise<{ readonly text: string | null; readonly met: Met }> {
  if (text === null || text === undefined || text === '') return { text: null, met: NOTHING }
  const inAddress = addressSecrets(looking, place, text)
  const bare = withoutLogins(text)
  const met = together([inAddress, await detected(looking, place, bare, signal)])
  const isClean = met.places.length === inAddress.places.length && bare.length <= TEXT_MAX
  return { text: isClean ? bare : '(holds a secret)', met }
}

type Leaf = { readonly place: string; readonly name: string; readonly value: string }

async function secretsOfLeaf(looking: Looking, { place, name, value }: Leaf, signal: AbortSignal): Promise<Met> {
  if (value.includes(MASK) || isSensitive(name)) return secretAt(looking, place, value)
  return together([addressSecrets(looking, place, value), await detected(looking, place, withoutLogins(value), signal)])
}

/** RFC 3986 §3.2.1: what stands between the name and the host; with or without a scheme before it. */
const IN_ADDRESS = /((?:\b[a-z][a-z0-9+.-]{0,40}:\/\/|^))[^\s/:@]{0,300}:[^\s/@]{1,2000}@/gi
const PASSWORD = /(?:\b[a-z][a-z0-9+.-]{0,40}:\/\/|^)[^\s/:@]{0,300}:([^\s/@]{1,2000})@/gi

function withoutLogins(text: string): string {
  return text.replace(IN_ADDRESS, '$1')
}

function addressSecrets(looking: Looking, place: string, text: string): Met {
  const found = [...text.slice(0, TEXT_MAX).matchAll(PASSWORD)].filter(([all]) => !/^mailto:/i.test(all))
  return together(
    found.slice(0, FINGERPRINTS_MAX).map(([, raw = '']) => secretAt(looking, `${place} (address)`, decoded(raw))),
  )
}

function decoded(raw: string): string {
  try {
    return decodeURIComponent(raw)
  } catch {
    return raw
  }
}

/** By the rules of the scanner, without names: those are looked at before. */
async function detected(looking: Looking, place: string, text: string, signal: AbortSignal): Promise<Met> {
  const prints: CredentialFingerprint[] = []
  const fingerprints = { keyId: '', of: (value: Secret<Buffer> | Secret) => looking.fingerprint(value) }
  const bytes = Buffer.from(text.slice(0, TEXT_MAX), 'utf8')
  const options = { clock: looking.clock, fingerprints, withComments: false, withNames: false, signal }
  for await (const { fingerprint } of scan({ kind: 'bytes', name: 'value', bytes }, options))
    if (fingerprint) prints.push(fingerprint)
  return prints.length === 0 ? NOTHING : together([{ places: [place], masked: [], fingerprints: prints }])
}

function objectOf(text: string): object | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined
  try {
    const told: unknown = JSON.parse(text)
    return typeof told === 'object' && told !== null ? told : undefined
  } catch {
    return undefined
  }
}

/** Texts at the ends of what JSON holds, as far as anybody nests settings. A text that is JSON itself is opened too. */
function leavesOf(whole: object, place: string): Leaf[] {
  const leaves: Leaf[] = []
  const open: { readonly place: string; readonly name: string; readonly value: unknown; readonly depth: number }[] = [
    { place, name: place, value: whole, depth: 0 },
  ]
  for (let next = open.shift(); next && leaves.length < LEAVES_MAX; next = open.shift()) {
    const { name, value, depth } = next
    if (typeof value === 'string') {
      const inner = depth < DEPTH_MAX ? objectOf(value) : undefined
      // What a sensitive name holds is the secret, as it is.
      if (inner === undefined || isSensitive(name)) leaves.push({ place: next.place, name, value })
      else open.push({ ...next, value: inner, depth: depth + 1 })
    } else if (typeof value === 'object' && value !== null && depth < DEPTH_MAX)
      for (const [key, inner] of Object.entries(value).slice(0, LEAVES_MAX))
        open.push({
          place: `${next.place} ${key}`.slice(0, 200),
          // What a list or an object under a sensitive name holds is of that name.
          name: Array.isArray(value) || isSensitive(name) ? name : key,
          value: inner,
          depth: depth + 1,
        })
  }
  return leaves
}
