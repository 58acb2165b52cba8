import type { z } from 'zod'
import type { Db } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Seal } from '../../kernel/seal.ts'
import { nextTurn } from '../../kernel/timer.ts'
import type { Actor } from '../../ledger/ledger.ts'
import { decisionsSearched } from '../events.ts'
import type { PolicySet } from '../policy-set.ts'
import { actionsBetween } from '../typing.ts'
import { answerOf } from './answer.ts'
import { PAGE_MAX } from './asked.ts'
import type { AskedActions, AskedQuestion, AskedResources, AskedSubjects, FoundActions, FoundThings } from './asked.ts'
import { candidatesOf, type Candidate } from './candidates.ts'
import type { EvaluateNeeds } from './evaluate.ts'
import type { Facts } from './facts.ts'
import { readToken, searchHash, writeToken, type Place } from './page-token.ts'
import { decidePrepared, factsFor, prepare } from './question.ts'
import { vocabularyOf, type Vocabulary } from './vocabulary.ts'

export type SearchNeeds = EvaluateNeeds & { readonly seal: Seal }

/** Looked at for one page; a page may end before it is full, and then its token leads on. */
const EXAMINED_MAX = 500
const PAGE_DEFAULT = 50

/** Who of a type may do it (§8.4). Everybody found would be permitted at this moment, obligations shown as they were here. */
export async function searchSubjects(
  db: Db,
  needs: SearchNeeds,
  actor: Actor,
  asked: AskedSubjects,
): Promise<FoundThings> {
  const { subject } = asked
  const page = openPage(db, needs, 'subjects', actor, asked)
  const type = page.vocabulary.typeOf(subject.type)
  const { found, ...rest } = await walk(db, needs, page, {
    candidates: type === undefined ? [] : candidatesOf(db, page.vocabulary, type, page.place.after),
    question: ({ id }) => ({ ...asked, subject: { type: subject.type, id, properties: subject.properties } }),
  })
  await enter(needs, actor, 'subjects', { ...rest, found: found.length })
  return {
    page: pageAnswer(needs, page, rest, found.length),
    results: found.map(({ id }) => ({ type: subject.type, id })),
  }
}

/** On what of a type the subject may do it (§8.5). */
export async function searchResources(
  db: Db,
  needs: SearchNeeds,
  actor: Actor,
  asked: AskedResources,
): Promise<FoundThings> {
  const { resource } = asked
  const page = openPage(db, needs, 'resources', actor, asked)
  const type = page.vocabulary.typeOf(resource.type)
  const { found, ...rest } = await walk(db, needs, page, {
    candidates: type === undefined ? [] : candidatesOf(db, page.vocabulary, type, page.place.after),
    question: ({ id }) => ({ ...asked, resource: { type: resource.type, id, properties: resource.properties } }),
  })
  await enter(needs, actor, 'resources', { ...rest, found: found.length })
  return {
    page: pageAnswer(needs, page, rest, found.length),
    results: found.map(({ id }) => ({ type: resource.type, id })),
  }
}

/** What the subject may do to the resource (§8.6). */
export async function searchActions(
  db: Db,
  needs: SearchNeeds,
  actor: Actor,
  asked: AskedActions,
): Promise<FoundActions> {
  const page = openPage(db, needs, 'actions', actor, asked)
  const [subject, resource] = await Promise.all([
    page.facts.subject(asked.subject),
    page.facts.resource(asked.resource),
  ])
  const names =
    'unfound' in subject || 'unfound' in resource
      ? []
      : actionsBetween(page.set.schema, subject.ref.type, resource.ref.type)
  const { found, ...rest } = await walk(db, needs, page, {
    candidates: names
      .filter((name) => name > page.place.after)
      .map((name) => ({ key: name, id: page.vocabulary.wordOfAction(name) })),
    question: ({ id }) => ({ ...asked, action: { name: id } }),
  })
  await enter(needs, actor, 'actions', { ...rest, found: found.length })
  return { page: pageAnswer(needs, page, rest, found.length), results: found.map(({ id }) => ({ name: id })) }
}

type OpenPage = {
  readonly set: PolicySet
  readonly vocabulary: Vocabulary
  readonly facts: Facts
  readonly hash: string
  readonly place: Place
}

type Paged = { readonly page?: { token?: string | undefined; limit?: number | undefined } | undefined }

function openPage(
  db: Db,
  needs: SearchNeeds,
  kind: 'subjects' | 'resources' | 'actions',
  actor: Actor,
  asked: Paged & Readonly<Record<string, unknown>>,
): OpenPage {
  const { set } = needs.engine.current()
  const { page, ...request } = asked
  const hash = searchHash(kind, actor.id ?? '', request)
  const begun = page?.token ? readToken(needs.seal, hash, page.token) : undefined
  // §8.2.1: apart from the token nothing changes from page to page.
  if (begun && page?.limit !== undefined && Math.min(page.limit, PAGE_MAX) !== begun.limit) {
    throw invalid('page.limit', 'another than that of the page before')
  }
  const limit = begun?.limit ?? Math.min(page?.limit ?? PAGE_DEFAULT, PAGE_MAX)
  return {
    set,
    vocabulary: vocabularyOf(set),
    facts: factsFor(db, needs, set),
    hash,
    place: { after: begun?.after ?? '', limit },
  }
}

type Walk = {
  readonly candidates: AsyncIterable<Candidate> | Iterable<Candidate>
  readonly question: (candidate: Candidate) => z.output<typeof AskedQuestion>
}
type Walked = { readonly examined: number; readonly last: string; readonly isMore: boolean }

/** Examines candidates in the order of their keys until the page is full, enough were looked at, or none is left. */
async function walk(
  db: Db,
  needs: SearchNeeds,
  { set, facts, place }: OpenPage,
  { candidates, question }: Walk,
): Promise<Walked & { readonly found: readonly Candidate[] }> {
  const terms = { drafts: needs.drafts, requestable: () => undefined }
  const found: Candidate[] = []
  let examined = 0
  let last = place.after
  for await (const candidate of candidates) {
    if (found.length >= place.limit || examined >= EXAMINED_MAX) return { found, examined, last, isMore: true }
    const asked = question(candidate)
    const prepared = await prepare(db, needs, facts, set, asked)
    if (!('unanswerable' in prepared)) {
      const { answer } = answerOf(terms, asked, prepared, decidePrepared(needs, prepared))
      if (answer.decision) found.push(candidate)
    }
    examined += 1
    last = candidate.key
    if (examined % 16 === 0) await nextTurn()
  }
  return { found, examined, last, isMore: false }
}

function pageAnswer({ seal }: SearchNeeds, { hash, place }: OpenPage, { last, isMore }: Walked, count: number) {
  return { next_token: isMore ? writeToken(seal, hash, { after: last, limit: place.limit }) : '', count }
}

/** One entry for a search, however many it looked at: what was asked for is the enforcement point's to keep. */
function enter(
  { ledger }: SearchNeeds,
  actor: Actor,
  searched: 'subjects' | 'resources' | 'actions',
  { found, examined }: { readonly found: number; readonly examined: number },
): Promise<void> {
  return ledger.observe({
    event: decisionsSearched,
    actor,
    action: 'decision.search',
    resource: { type: 'Question', id: 'installation' },
    outcome: 'done',
    facts: { searched, found, examined },
  })
}
