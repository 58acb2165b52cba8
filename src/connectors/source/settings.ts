import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const Path = z.string().max(1000).regex(/^\//, 'name it from the root on')

/** What `source.settings` holds for `source`: places on the machine of the node, at least one. */
export const SourceSettings = z
  .strictObject({
    repository: shown(Path).optional().describe('a git repository: its whole history'),
    folder: shown(Path).optional().describe('files as they lie there, a worktree too'),
    image: shown(Path)
      .optional()
      .describe('an image: a folder in OCI layout, or one tar, of it or as docker save writes it'),
    logs: shown(Path).optional().describe('a log, or a folder of logs, of pipelines'),
    withNames: shown(z.boolean())
      .default(true)
      .describe('also random values that only the name they are assigned to gives away'),
  })
  .refine(({ repository, folder, image, logs }) => repository ?? folder ?? image ?? logs, 'name something to read')
  .meta({ id: 'SourceTreeSettings', classification: 'public' })
export type SourceSettings = z.output<typeof SourceSettings>

/** What can be read, each a scope by its name. */
export const SCOPES = ['repository', 'folder', 'image', 'logs'] as const
export type Scope = (typeof SCOPES)[number]
