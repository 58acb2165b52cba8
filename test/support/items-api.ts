import { setImmediate as turn } from 'node:timers/promises'
import assert from 'node:assert/strict'
import { after, before } from 'node:test'
import { z } from 'zod'
import { shown } from '../../src/kernel/event.ts'
import { openHealth } from '../../src/kernel/health.ts'
import type { Deciders } from '../../src/kernel/http/handle.ts'
import { installation, openRoute, route, type Resource } from '../../src/kernel/http/route.ts'
import { Instant } from '../../src/kernel/instant.ts'
import { operation } from '../../src/kernel/operation.ts'
import { mintPermit } from '../../src/kernel/permit.ts'
import { notPermitted, problem } from '../../src/kernel/problem.ts'
import { anIdentity, startApi, type Answered, type ApiWorld } from './api.ts'
import { freshDatabase } from './database.ts'

export const ranDry = problem('ran-dry', 409, 'It ran dry', { at: Instant, left: z.int() })
const Item = z.object({
  id: shown(z.string()),
  size: z.int(),
  at: Instant,
  tags: z.array(z.object({ name: z.string() })).max(10),
})

const makeItem = operation({
  id: 'item.make',
  method: 'POST',
  path: '/v1/items',
  summary: 'Makes an item',
  function: 'pam',
  resource: 'Installation',
  input: z.object({
    name: z.string().max(20),
    at: Instant,
    tags: z
      .array(z.object({ name: z.string() }))
      .max(10)
      .default([]),
  }),
  output: Item,
  status: 201,
  problems: [ranDry],
})
const readItem = operation({
  id: 'item.read',
  method: 'GET',
  path: '/v1/items/:id',
  summary: 'Reads an item',
  function: 'pam',
  resource: 'Item',
  params: z.object({ id: z.string().max(40) }),
  query: z.object({ limit: z.coerce.number().int().max(9).default(5) }),
  output: Item,
})
const pokeItem = operation({
  id: 'item.poke',
  method: 'POST',
  path: '/v1/items/:id/poke',
  summary: 'Takes no body',
  function: 'pam',
  resource: 'Item',
  params: z.object({ id: z.string() }),
  output: z.undefined(),
  status: 204,
  rate: 'tight',
})
const followItems = operation({
  id: 'item.follow',
  method: 'GET',
  path: '/v1/items-followed',
  summary: 'Follows items',
  function: 'pam',
  resource: 'Installation',
  query: z.object({ fail: z.enum(['yes', 'no']).default('no') }),
  output: Item,
  answer: 'stream',
})
const partOfItem = operation({
  id: 'item.part',
  method: 'GET',
  path: '/v1/items/:id/part/*place',
  summary: 'Gives bytes under a path of any depth',
  function: 'pam',
  resource: 'Item',
  params: z.object({ id: z.string(), place: z.string().regex(/^[a-z/]+$/) }),
  output: z.instanceof(Uint8Array),
  answer: 'bytes',
  caching: 'immutable',
})
const enrol = operation({
  id: 'item.enrol',
  method: 'POST',
  path: '/v1/enrol',
  summary: 'Needs no proof',
  function: 'iam',
  resource: 'Installation',
  input: z.object({ code: z.string() }),
  output: z.object({ ok: z.boolean() }),
  caller: 'none',
})

export const AT = '2030-01-02T03:04:05.000Z'
const item = (id: string) => ({
  id,
  size: 1,
  at: new Date(AT),
  tags: [{ name: 'a', secretLeak: 1 }],
  secretLeak: 'hunter2',
})

/** A small API over a real listener and database, with what a test may look at and turn. */
export class ItemsApi {
  readonly ran: string[] = []
  readonly streams = { opened: 0, closed: 0, produced: 0 }
  readonly health = openHealth()
  isPermitted = true
  permitFor: Resource | undefined
  failure: Error | undefined
  hold: Promise<void> | undefined
  #world: ApiWorld | undefined

  get world(): ApiWorld {
    assert.ok(this.#world)
    return this.#world
  }

  call(...given: Parameters<ApiWorld['call']>): Promise<Answered> {
    return this.world.call(...given)
  }

  async open(t: { after(fn: () => Promise<void>): void }): Promise<void> {
    const { db } = await freshDatabase(t)
    const alice = await anIdentity(db, 'alice')
    const bob = await anIdentity(db, 'bob')
    this.#world = await startApi(t, db, {
      ...this.#deciders(alice, bob),
      health: this.health,
      documents: { '/v1/openapi.json': { openapi: '3.1.0' } },
      openRoutes: [openRoute(enrol, async () => Object.assign({ ok: true }, { secretLeak: 'hunter2' }))],
      routes: this.#routes(),
    })
  }

  #routes() {
    const itemResource = async ({ params }: { params: { id: string } }) => ({
      type: 'Item',
      id: params.id,
      attributes: {},
    })
    return [
      route(makeItem, {
        resource: async () => installation(),
        run: async ({ input }) => {
          this.ran.push(input.name)
          assert.ok(input.at instanceof Date)
          if (this.hold) await this.hold
          if (this.failure) throw this.failure
          return item(`${input.name}-${this.ran.length}`)
        },
      }),
      route(readItem, { resource: itemResource, run: async ({ params }) => item(params.id) }),
      route(partOfItem, {
        resource: itemResource,
        run: async ({ params }) => Buffer.from([0, 255, params.place.length]),
      }),
      route(pokeItem, { resource: itemResource, run: async () => undefined }),
      route(followItems, {
        resource: async () => installation(),
        run: async ({ query, signal }) => this.#follow(query.fail === 'yes', signal),
      }),
    ]
  }

  #deciders(alice: string, bob: string): Deciders {
    return {
      authenticate: async ({ bearer, certificate }) => {
        if (certificate) return { id: bob, name: 'bob', kind: 'human', proof: 'mtls', proofId: 'c' }
        const tokens: Record<string, string> = { 'token-alice': alice, 'token-bob': bob }
        const id = tokens[bearer?.reveal() ?? '']
        return id === undefined ? undefined : { id, name: 'x', kind: 'human', proof: 'token', proofId: 't' }
      },
      decide: async (caller, action, resource) => {
        if (!this.isPermitted) throw notPermitted('Ask for it.', { action, reasons: [], decisionId: 'd' })
        const about = this.permitFor ?? resource
        return mintPermit({
          action,
          subject: { type: 'Person', id: caller.id },
          onBehalfOf: [],
          resource: { type: about.type, id: about.id },
          policyEpoch: '1',
          decisionId: 'd',
          evaluatedAt: new Date(),
        })
      },
    }
  }

  async *#follow(isFailing: boolean, signal: AbortSignal) {
    const { streams } = this
    streams.opened += 1
    try {
      for (;;) {
        signal.throwIfAborted()
        streams.produced += 1
        yield item(`line-${streams.produced}-${'x'.repeat(1000)}`)
        if (isFailing && streams.produced > 2) throw new Error('the source broke')
        await turn()
      }
    } finally {
      streams.closed += 1
    }
  }
}

/** One for all tests of a file. */
export function itemsApiOfThisFile(): ItemsApi {
  const api = new ItemsApi()
  const closing: (() => Promise<void>)[] = []
  before(() => api.open({ after: (fn) => void closing.push(fn) }))
  after(async () => {
    for (const close of closing.toReversed()) await close()
  })
  return api
}

export const asAlice = { authorization: 'Bearer token-alice' }
export const json = { ...asAlice, 'content-type': 'application/json' }
/** A valid body of `item.make`, with more. */
export const body = (more: object = {}) => JSON.stringify({ name: 'n', at: AT, ...more })
export const slug = (answer: Answered) => answer.json().type.split('/').at(-1)
