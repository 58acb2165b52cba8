import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { EgressFailed, type Egress } from '../egress.ts'
import { readSecretFile } from '../secret-file.ts'
import { Secret } from '../secret.ts'
import { signedHeaders, type AwsKeys } from '../sigv4.ts'
import { sleep } from '../timer.ts'

/** Where AWS KMS is asked, and the file that says as whom. */
export type KmsPlace = {
  readonly region: string
  /** Another address than the region's own: of a VPC endpoint, or of a test. */
  readonly address: string | undefined
  readonly credentialsFile: string
  readonly profile: string
}

/** One call of KMS (JSON protocol 1.1). */
export type Kms = {
  ask<T extends z.ZodType>(action: KmsAction, input: object, answer: T): Promise<z.output<T>>
}
type KmsAction = 'Encrypt' | 'Decrypt' | 'Sign' | 'GetPublicKey' | 'CreateKey' | 'ScheduleKeyDeletion'

/** AWS said no; `code` is the name of its exception, and no other word of the answer is repeated. */
export class KmsRefused extends Error {
  override readonly name = 'KmsRefused'
  readonly code: string

  constructor(sentence: string, code: string) {
    super(sentence)
    this.code = code
  }
}

const TYPE = 'application/x-amz-json-1.1'
const Refusal = z.object({ __type: z.string().max(200) })
/** Told to wait, or nothing said: asked again after these. */
const PAUSES_MS = [200, 800]

const SENTENCES: Readonly<Record<string, string>> = {
  AccessDeniedException: 'it does not let these credentials do that: look at the key policy',
  DisabledException: 'the key is disabled',
  ExpiredTokenException: 'the credentials have expired',
  IncorrectKeyException: 'it was wrapped by another key',
  InvalidCiphertextException: 'it was wrapped by another key or for another purpose, or the file was changed',
  InvalidSignatureException: 'the credentials are wrong',
  KMSInvalidStateException: 'the key is about to be deleted, or is not ready',
  NotFoundException: 'there is no such key',
  UnrecognizedClientException: 'the credentials are wrong',
}

export function openKms(egress: Egress, clock: Pick<Clock, 'now'>, place: KmsPlace): Kms {
  const url = new URL(place.address ?? `https://kms.${place.region}.${domainOf(place.region)}/`)
  const once = async (action: KmsAction, body: string) => {
    const keys = await keysIn(place)
    const headers = { 'content-type': TYPE, 'x-amz-target': `TrentService.${action}` }
    const signing = {
      method: 'POST',
      url,
      headers,
      body,
      region: place.region,
      service: 'kms',
      at: clock.now(),
    } as const
    return egress.ask(url.href, { method: 'POST', headers: signedHeaders(keys, signing), body, types: [TYPE] })
  }
  return {
    async ask(action, input, answer) {
      for (let tries = 0; ; tries += 1) {
        const pauseMs = PAUSES_MS[tries]
        const asked = await once(action, JSON.stringify(input)).catch((error: unknown) => {
          if (!(error instanceof EgressFailed)) throw error
          throw new Error(`AWS KMS at ${url.host} does not answer: ${error.message}`, { cause: error })
        })
        if (asked.status === 200) return read(asked.body, answer, url.host)
        const refused = refusalOf(asked, url.host, action)
        const isForNow = asked.status >= 500 || /Throttl|LimitExceeded|KMSInternal|Timeout/.test(refused.code)
        if (!isForNow || pauseMs === undefined) throw refused
        await sleep(pauseMs)
      }
    },
  }
}

/** As the shared credentials file of AWS has them; read at each call, so that whoever renews them may do so at any time. */
async function keysIn({ credentialsFile, profile }: KmsPlace): Promise<AwsKeys> {
  const text = (await readSecretFile(credentialsFile, 'the AWS credentials')).reveal()
  const found: Record<string, string> = {}
  let isOurs = false
  for (const line of text.split(/\r?\n/)) {
    const [, section] = /^\s*\[\s*([^\]]+?)\s*\]\s*$/.exec(line) ?? []
    if (section !== undefined) isOurs = section === profile
    const [, name, value] = /^\s*(aws_[a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? []
    if (isOurs && name !== undefined && value !== undefined) found[name] = value
  }
  const { aws_access_key_id: id, aws_secret_access_key: secret, aws_session_token: token } = found
  if (id === undefined || secret === undefined) {
    throw new Error(`${credentialsFile} has no aws_access_key_id and aws_secret_access_key under [${profile}]`)
  }
  return { id, secret: new Secret(secret), ...(token !== undefined && { sessionToken: new Secret(token) }) }
}

function domainOf(region: string): string {
  return region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
}

function read<T extends z.ZodType>(body: Buffer, answer: T, host: string): z.output<T> {
  const parsed = answer.safeParse(jsonIn(body))
  if (!parsed.success) throw new Error(`${host} did not answer as AWS KMS does`)
  return parsed.data
}

function refusalOf(
  { status, body }: { readonly status: number; readonly body: Buffer },
  host: string,
  action: KmsAction,
): KmsRefused {
  const parsed = Refusal.safeParse(jsonIn(body))
  // `com.amazonaws.kms#NotFoundException`, or the name alone.
  const named = parsed.success ? /[A-Za-z]+$/.exec(parsed.data.__type)?.[0] : undefined
  const code = named ?? (status === 403 ? 'AccessDeniedException' : 'unknown')
  return new KmsRefused(`AWS KMS at ${host} refused ${action}: ${SENTENCES[code] ?? code}`, code)
}

function jsonIn(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
