import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const Url = z
  .url({ protocol: /^https?$/ })
  .max(200)
  .refine((url) => /^https?:\/\/[^@?#]+$/.test(url), 'write the address of the endpoint, without a login or a query')

/** What `source.settings` holds for `mcp`: one server, by its endpoint. */
export const McpSourceSettings = z
  .strictObject({
    url: shown(Url).describe('the endpoint, such as https://tools.example/mcp'),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the server'),
  })
  .meta({ id: 'McpSourceSettings', classification: 'public' })
export type McpSourceSettings = z.output<typeof McpSourceSettings>

/** A token for this server; none for one that asks for none. */
export const McpSourceCredential = z.strictObject({ token: z.string().min(1).max(10_000).optional() }).default({})
