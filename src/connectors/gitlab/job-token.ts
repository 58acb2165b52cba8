/** What the token of a job may that no pipeline file speaks of: it is given to each job, and projects say whose they let in. */
import type { NativeId, Observation } from '../connector.ts'
import { readOne } from '../forge/api.ts'
import { grant, organization, repository } from '../forge/tell.ts'
import { MAINTAINER, ofEach } from './read.ts'
import { Allowed, JobTokenScope, type Project } from './shapes.ts'

/** GitLab, "CI/CD job token": it reads the project it runs in, and pushes to it where the project lets it. */
export function tellJobToken({ id, ci_push_repository_for_job_token_allowed: canPush }: Project, pipeline: NativeId) {
  const level = canPush === true ? 'write' : 'read'
  return grant({
    id: { kind: 'pipeline-token', id: pipeline.id },
    principal: pipeline,
    on: repository(id),
    privilege: `job token: ${level}`,
    level,
    facts: { canPush: canPush ?? null },
  })
}

/** Whose job tokens each project lets in: of everybody, or of those on its lists. */
export const readJobTokens = ofEach(async (it, list, { forge }, signal) => {
  const asked = {
    path: `/projects/${it.id}/job_token_scope`,
    what: 'whose job tokens are let in',
    permission: MAINTAINER,
  }
  const { inbound_enabled: isLimited } = await readOne(forge, asked, JobTokenScope, signal)
  if (!isLimited) return [letIn(it, { issuer: 'job tokens of every project', claims: {} }, 'every project')]
  const projects = await list('job_token_scope/allowlist', 'projects whose job tokens are let in', Allowed)
  const groups = await list('job_token_scope/groups_allowlist', 'groups whose job tokens are let in', Allowed)
  return [
    // A project is always on its own list.
    ...projects.filter(({ id }) => id !== it.id).map(({ id }) => letIn(it, repository(id), `project ${id}`)),
    ...groups.map(({ id }) => letIn(it, organization(id), `every project of group ${id}`)),
  ]
})

function letIn(it: Project, from: Extract<Observation, { kind: 'trust' }>['from'], whose: string): Observation {
  return {
    kind: 'trust',
    id: { kind: 'job-token-scope', id: `${it.id}/${whose}` },
    from,
    to: repository(it.id),
    wildcard: whose.startsWith('every'),
    facts: { method: 'job-token', where: `${it.path_with_namespace} lets in job tokens of ${whose}` },
  }
}
