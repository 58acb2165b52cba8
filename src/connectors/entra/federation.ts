/** Tokens of others by which an application proves itself (workload identity federation). */
import { z } from 'zod'
import { inPages, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { everyOf, pages, type Graph } from './api.ts'
import { applicationOf, Federated } from './shapes.ts'

const NEED = { what: 'tokens of others that applications are proven by', permission: 'Application.Read.All' }
/** "Use query parameters": an expanded list has twenty at most, and does not say that there are more. */
export const EXPANDED_MAX = 20

const With = z.object({
  id: z.string().min(1),
  appId: z.string().min(1),
  displayName: z.string().nullish(),
  federatedIdentityCredentials: z.array(Federated).default([]),
})

export async function* readFederation(
  graph: Graph,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const asked = {
    path: '/v1.0/applications?$select=id,appId,displayName&$expand=federatedIdentityCredentials&$top=100',
    need: NEED,
    shape: With,
  }
  for await (const { items, next } of pages(graph, asked, since.cursor, signal)) {
    const told: Observation[] = []
    for (const { id, appId, displayName, federatedIdentityCredentials: some } of items) {
      const path = `/v1.0/applications/${encodeURIComponent(id)}/federatedIdentityCredentials`
      const all =
        some.length < EXPANDED_MAX
          ? some
          : await every({ path, need: NEED, shape: Federated, mayBeGone: true }, graph, signal)
      told.push(...all.map((each) => tellFederated(each, appId, displayName ?? appId)))
    }
    yield* inPages(told, next)
  }
  return { status: 'complete', missing: [] }
}

async function every(asked: Parameters<typeof everyOf<Federated>>[1], graph: Graph, signal: AbortSignal) {
  const all: Federated[] = []
  for await (const each of everyOf(graph, asked, signal)) all.push(each)
  return all
}

function tellFederated(each: Federated, appId: string, name: string): Observation {
  const expression = each.claimsMatchingExpression?.value ?? undefined
  const subject = each.subject ?? ''
  return {
    kind: 'trust',
    id: { kind: 'application-federation', id: `${appId}/${each.id}` },
    from: {
      issuer: each.issuer,
      claims: { aud: each.audiences, ...(subject !== '' && { sub: [subject] }) },
    },
    to: applicationOf(appId),
    // One that matches by an expression takes every subject that it fits.
    wildcard: subject === '' || subject.includes('*'),
    facts: {
      method: 'federated-jwt',
      where: `federated credential ${each.name ?? each.id} of ${name}`,
      ...(expression !== undefined && { expression }),
    },
  }
}
