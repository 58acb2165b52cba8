import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { ApiAddress, isProtected, PLAIN, Reached } from '../issued/address.ts'

/** What `target.settings` holds for `https`: a server that takes a login in each request, such as a git server or a registry of images. */
export const HttpsSettings = z
  .strictObject({
    server: ApiAddress.describe('https://host[:port]: what git and docker ask a login for'),
    ...Reached,
    probePath: shown(
      z
        .string()
        .regex(/^\/[\w./?=&%-]*$/)
        .max(500),
    ).describe(
      'answered with 401 without a login, and with 200 with one: /v2/ of a registry, /group/repo.git/info/refs?service=git-upload-pack',
    ),
  })
  .refine(({ server, plaintext }) => isProtected(server, plaintext), { path: ['server'], message: PLAIN })
  .meta({ id: 'HttpsSettings', classification: 'public' })
export type HttpsSettings = z.output<typeof HttpsSettings>
