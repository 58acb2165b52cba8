import { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import type { LeaseWriter, Site } from '../writer.ts'

/** The values that make up a credential, by name. */
const Values = z.record(z.string().max(100), z.string().max(20_000))
export type Values = z.output<typeof Values>

/** A writer whose credentials are handed to the holder of the grant, who uses them at the target itself. */
export type HandedWriter = LeaseWriter & {
  /** Which accounts it makes credentials of: leased ones, or standing ones that it lends. */
  readonly mode: 'lease' | 'static'
  /** A link by which a person comes into the target's console with the credential; for those that have one. */
  signIn?(site: Site, values: Values, signal: AbortSignal): Promise<string>
}

/** What is kept sealed of a credential until it is dead: to hand it out again, and to try it afterwards. */
export function secretOf(values: Values): Secret {
  return new Secret(JSON.stringify(values))
}

/** The values again; none when it was never made. */
export function valuesOf(secret: Secret): Values {
  const text = secret.reveal()
  return text === '' ? {} : Values.parse(JSON.parse(text))
}

const Told = z.object({ about: Values })

/** What is said of a credential beside its values, as its writer noted it. */
export function aboutOf(details: unknown): Values {
  return Told.safeParse(details).data?.about ?? {}
}
