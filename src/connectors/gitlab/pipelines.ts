import { known, type NativeId, type Observation } from '../connector.ts'
import { Absent, readOne } from '../forge/api.ts'
import { NotWhole } from '../forge/read.ts'
import { grant, principal } from '../forge/tell.ts'
import { tellJobToken } from './job-token.ts'
import { readGitlabPipeline } from './pipeline.ts'
import { ofEach } from './read.ts'
import { File } from './shapes.ts'

const FILE = '.gitlab-ci.yml'

export const readPipelines = ofEach(async (it, _list, { forge }, signal) => {
  const asked = {
    path: `/projects/${it.id}/repository/files/${encodeURIComponent(FILE)}?ref=HEAD`,
    what: 'pipeline files',
    permission: 'a token with read_api or read_repository',
  }
  let content: string
  try {
    ;({ content = '' } = await readOne({ ...forge, hides: false }, asked, File, signal))
  } catch (error) {
    if (error instanceof Absent) return []
    throw error
  }
  const pipeline = readGitlabPipeline(Buffer.from(content, 'base64').toString('utf8'))
  if (!pipeline) throw new NotWhole([], { what: 'the pipeline file', why: 'it cannot be read as one' })
  const id: NativeId = { kind: 'pipeline', id: `${it.id}:${FILE}` }
  const where = `${it.path_with_namespace}: ${FILE}`
  return [
    principal({
      id,
      type: 'workload',
      name: where,
      state: known('active'),
      interactive: known(false),
      facts: { unpinned: pipeline.includes.filter(({ isPinned }) => !isPinned).length },
    }),
    tellJobToken(it, id),
    ...pipeline.audiences.map((audience) =>
      grant({
        id: { kind: 'pipeline-id-token', id: `${id.id}#${audience}` },
        principal: id,
        on: { kind: 'token-issuer', id: forge.url },
        privilege: `id_tokens: ${audience}`,
        level: 'use',
      }),
    ),
    ...[...new Map(pipeline.includes.map((each) => [each.uses, each])).values()].map((each): Observation => ({
      kind: 'trust',
      id: { kind: 'pipeline-action', id: `${id.id}#${each.uses}` },
      from: { issuer: each.uses.replace(/@[^@]*$/, ''), claims: { ref: [each.uses.split('@').at(-1) ?? ''] } },
      to: id,
      wildcard: !each.isPinned,
      facts: { method: each.how, where: `${where} includes ${each.uses}` },
    })),
  ]
})
