import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { problem } from '../kernel/problem.ts'
import { ActionEntry } from './schemas.ts'

/** Without a gateway nothing enforces an action, so a file may say of one that Reeve's own operations do, and nothing better. */
const Shipped = ActionEntry.omit({ name: true }).extend({
  enforcement: z.enum(['reeve', 'none']).default('none'),
  obligations: z.record(z.string(), z.string()).default({}),
})
const CatalogFile = z.strictObject({
  version: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  actions: z.record(ActionEntry.shape.name, z.strictObject(Shipped.shape)),
})

const catalogInvalid = problem('catalog-invalid', 422, 'The catalog of actions is not valid', {
  faults: z.array(z.string()).max(100),
})

/**
 * The actions that are privileged whether or not a gateway for them exists yet: listed so that they can be talked about, owned and
 * reviewed, and marked so that nobody takes them for enforced. Throws `catalogInvalid`.
 */
export async function readCatalog(path: string): Promise<ActionEntry[]> {
  return catalogFrom(JSON.parse(await readFile(path, 'utf8')))
}

/** As `readCatalog`, from what the file holds. */
export function catalogFrom(value: unknown): ActionEntry[] {
  const parsed = CatalogFile.safeParse(value)
  if (!parsed.success) refuse(parsed.error.issues.map((issue) => `${issue.path.join('.') || 'top'}: ${issue.message}`))
  const entries = Object.entries(parsed.data.actions).map(([name, action]) => ({ ...action, name }))
  const laxer = entries.filter(({ tier, tierElsewhere }) => tierElsewhere !== null && tierElsewhere < tier)
  if (laxer.length > 0) refuse(laxer.map(({ name }) => `${name}: it is more sensitive outside production than in it`))
  return entries
}

function refuse(faults: string[]): never {
  throw catalogInvalid(`The catalog of actions is not valid. ${faults.slice(0, 10).join('; ')}`, {
    faults: faults.slice(0, 100),
  })
}

/** What the gateways offer, and of the shipped ones those that no gateway offers. */
export function withShipped<Offered extends { readonly name: string }>(
  offered: readonly Offered[],
  shipped: readonly ActionEntry[],
): (Offered | ActionEntry)[] {
  return [...offered, ...shipped.filter(({ name }) => !offered.some((each) => each.name === name))]
}
