import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const Url = z
  .url({ protocol: /^https?$/ })
  .max(300)
  .refine(
    (url) => !/[?#@]/.test(url),
    'write the address of the API server, and the path below which it is served if there is one',
  )

/** What `source.settings` holds for `airflow`: one deployment of Airflow 3. */
export const AirflowSourceSettings = z
  .strictObject({
    url: shown(Url),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the server'),
    historyDays: shown(z.int().min(1).max(365))
      .default(30)
      .describe('how far back the first reading of runs and of the audit log goes'),
    runsSeeAll: shown(z.boolean())
      .default(false)
      .describe('whether nobody deletes runs before they are read; only then is the want of use proven'),
  })
  .meta({ id: 'AirflowSourceSettings', classification: 'public' })
export type AirflowSourceSettings = z.output<typeof AirflowSourceSettings>

/** A user who may read what the page says, or a token made for one: a token is not renewed. */
export const AirflowSourceCredential = z.union([
  z.strictObject({ username: z.string().min(1).max(300), password: z.string().min(1).max(10_000) }),
  z.strictObject({ token: z.string().min(1).max(100_000) }),
])
export type AirflowSourceCredential = z.output<typeof AirflowSourceCredential>
