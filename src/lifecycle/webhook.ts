import { loadIdentityByName } from '../identities/identities.ts'
import { equalBytes, hmacSha256 } from '../kernel/crypto.ts'
import { transact } from '../kernel/db.ts'
import type { Door, DoorAnswer, DoorAsked } from '../kernel/http/door.ts'
import type { Deciders } from '../kernel/http/handle.ts'
import type { Caller } from '../kernel/http/route.ts'
import { JsonRefused, parseStrictJson } from '../kernel/http/strict-json.ts'
import { invalidInput, unauthenticated } from '../kernel/problem.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Permit } from '../kernel/permit.ts'
import { z } from 'zod'
import { LifecycleEvent, ReportEvent } from './contract.ts'
import type { LifecycleNeeds, WithDb } from './needs.ts'
import { reportEvent } from './report.ts'
import { eventResource } from './routes.ts'

const PATH = '/webhooks/lifecycle'
const BODY_BYTES = 65_536
/** How old a webhook may be, and how far in the future: past this a copy of it is worth nothing. */
const TOLERANCE_MS = 300_000
/** Senders sign with the old and the new secret while one is changed. */
const MOST_SIGNATURES = 8
/** Standard Webhooks: secrets may be written this way, then what follows is base64. */
const PREFIX = 'whsec_'

export type WebhookNeeds = LifecycleNeeds &
  WithDb & {
    readonly deciders: () => Deciders
    /** By the name of the sender. */
    readonly secrets: ReadonlyMap<string, Secret>
  }

/**
 * What forges, pipelines and ticket systems send that cannot hold a token: signed as Standard Webhooks are, over id, time and the very bytes. The
 * id is the event's name, so a copy that is sent again changes nothing.
 */
export function webhookDoor(needs: WebhookNeeds): Door {
  return {
    path: PATH,
    methods: ['POST'],
    bodyBytes: BODY_BYTES,
    async answer(asked) {
      const eventId = proven(needs, asked)
      const caller = await senderOf(needs, asked.path)
      asked.admit(caller, 'lifecycle-event.report')
      const input = ReportEvent.safeParse({ ...bodyIn(asked), eventId })
      if (!input.success) throw invalidInput('The body is no event; see lifecycle-event.report.', { issues: [] })
      return reported(needs, caller, input.data)
    },
  }
}

async function reported(needs: WebhookNeeds, caller: Caller, input: ReportEvent): Promise<DoorAnswer> {
  const { decide, settled } = needs.deciders()
  const permit = await decide(caller, 'lifecycle-event.report', eventResource(needs, caller, input.type), {})
  if (!isReport(permit)) throw new Error('a permit of something else')
  const event = await transact(needs.db, (tx) => reportEvent(tx, needs, permit, input))
  await settled?.()
  return { status: 201, body: z.encode(LifecycleEvent, event) }
}

function isReport(permit: Permit): permit is Permit<'lifecycle-event.report'> {
  return permit.action === 'lifecycle-event.report'
}

/** The webhook's own id; throws the one answer for every way in which it can be forged, old, or from nobody. */
function proven({ clock, secrets }: WebhookNeeds, { header, body, path }: DoorAsked): string {
  const [id, at, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => header(name))
  const secret = secrets.get(path)
  const isTimely =
    at !== undefined && /^\d{1,12}$/.test(at) && Math.abs(clock.now().getTime() - Number(at) * 1000) <= TOLERANCE_MS
  if (!secret || id === undefined || id.length > 200 || id.includes('.') || !isTimely || signatures === undefined) {
    throw forged()
  }
  const signed = Buffer.concat([Buffer.from(`${id}.${at}.`, 'utf8'), body])
  const expected = hmacSha256(keyOf(secret), signed)
  const given = signatures.split(' ').slice(0, MOST_SIGNATURES)
  const isRight = given.some(
    (each) => each.startsWith('v1,') && equalBytes(Buffer.from(each.slice(3), 'base64'), expected),
  )
  if (!isRight) throw forged()
  return id
}

function keyOf(secret: Secret): Buffer {
  const text = secret.reveal()
  return text.startsWith(PREFIX) ? Buffer.from(text.slice(PREFIX.length), 'base64') : Buffer.from(text, 'utf8')
}

function forged() {
  return unauthenticated('The signature, its time or its sender is not valid.', {})
}

async function senderOf({ db }: WebhookNeeds, name: string): Promise<Caller> {
  const sender = await loadIdentityByName(db, name)
  if (sender?.state !== 'active') throw forged()
  return { id: sender.id, name: sender.name, kind: sender.kind, proof: 'token', proofId: sender.id }
}

function bodyIn({ body }: DoorAsked): z.output<typeof Loose> {
  try {
    return Loose.parse(parseStrictJson(body))
  } catch (error) {
    if (!(error instanceof JsonRefused) && !(error instanceof z.ZodError)) throw error
    throw invalidInput('The body is no JSON object.', { issues: [] }, { cause: error })
  }
}

const Loose = z.record(z.string(), z.unknown())
