import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { Profile, Tier, Trait } from '../identities/contract.ts'
import { sha256 } from '../kernel/crypto.ts'
import { problem } from '../kernel/problem.ts'
import { CONTROLS, CREDENTIAL_TYPES, PATHS } from './contract.ts'

const Days = z.int().min(1).max(3650)
const some = <T extends z.ZodType>(of: T) => z.array(of).min(1).max(32).optional()

/** Without a list a rule is about all of that kind; of lists each must name what the identity is or has. */
const When = z.strictObject({
  profiles: some(Profile),
  tiers: some(Tier),
  credentials: some(z.enum(CREDENTIAL_TYPES)),
  traits: some(Trait),
})

const StandardFile = z.strictObject({
  version: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  paths: z.record(Profile, z.enum(PATHS)),
  rules: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
        why: z.string().min(1).max(300),
        when: When,
        requires: z.array(z.enum(CONTROLS)).min(1).max(CONTROLS.length),
        credentialDays: Days.optional().describe('how old a credential may be; the least of all matching rules counts'),
      }),
    )
    .min(1)
    .max(500),
})
type StandardFile = z.output<typeof StandardFile>
export type Rule = StandardFile['rules'][number]

/** Which controls each class of identity owes: one version, immutable, named by its hash. */
export type Standard = StandardFile & { readonly sha256: string }

const standardInvalid = problem('standard-invalid', 422, 'The governance standard is not valid', {
  faults: z.array(z.string()).max(100),
})

/** Reads the standard of a file. Throws `standardInvalid`. */
export async function readStandard(path: string): Promise<Standard> {
  const text = await readFile(path, 'utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw standardInvalid('The governance standard is not JSON.', { faults: ['it is not JSON'] })
  }
  return standardFrom(value)
}

/** Checks and hashes a standard: no rule twice, and no profile at any tier of which nothing at all is asked. */
export function standardFrom(value: unknown): Standard {
  const parsed = StandardFile.safeParse(value)
  const faults = parsed.success
    ? faultsOf(parsed.data)
    : parsed.error.issues.map((issue) => `${issue.path.join('.') || 'top'}: ${issue.message}`)
  if (!parsed.success || faults.length > 0) {
    throw standardInvalid(`The governance standard is not valid. ${faults.slice(0, 10).join('; ')}`, {
      faults: faults.slice(0, 100),
    })
  }
  // Rules are read as a set: their order and that of their lists mean nothing.
  const rules = parsed.data.rules.toSorted((a, b) => (a.id < b.id ? -1 : 1)).map((rule) => sortedLists(rule))
  const paths = Object.entries(parsed.data.paths).sort(([a], [b]) => (a < b ? -1 : 1))
  const hash = sha256(JSON.stringify([parsed.data.version, paths, rules])).toString('hex')
  return Object.freeze({ ...parsed.data, sha256: hash })
}

function faultsOf({ rules }: StandardFile): string[] {
  const ids = rules.map(({ id }) => id)
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `rules: ${id} stands there twice`)
  const bare = Profile.options.flatMap((profile) =>
    [0, 1, 2, 3]
      // What depends on a credential or a trait is not asked of everybody of the class.
      .filter((tier) => !rules.some(({ when }) => !when.credentials && !when.traits && isOf(when, profile, tier)))
      .map((tier) => `rules: nothing is asked of ${profile} at tier ${tier}`),
  )
  return [...twice, ...bare]
}

function isOf({ profiles, tiers }: Rule['when'], profile: z.output<typeof Profile>, tier: number): boolean {
  return (profiles?.includes(profile) ?? true) && (tiers?.includes(tier) ?? true)
}

function sortedLists({ id, why, when, requires, credentialDays }: Rule): unknown[] {
  const lists = [when.profiles, when.tiers, when.credentials, when.traits, requires]
  return [id, why, credentialDays ?? null, ...lists.map((list) => list?.map(String).sort() ?? null)]
}

type Owing = Pick<Standard, 'rules'>

/** The rules that an identity of these facts falls under. */
export function rulesFor(
  { rules }: Owing,
  about: {
    readonly profile: z.output<typeof Profile>
    readonly tier: number
    readonly credentials: readonly string[]
    readonly traits: readonly string[]
  },
): Rule[] {
  return rules.filter(
    ({ when }) =>
      isOf(when, about.profile, about.tier) &&
      (when.credentials?.some((type) => about.credentials.includes(type)) ?? true) &&
      (when.traits?.some((trait) => about.traits.includes(trait)) ?? true),
  )
}
