import { readAnnotations } from './annotations.ts'
import { joinObligations, noObligations, type Obligations } from './obligations.ts'

/** What the catalog asks for an action whatever the policies say; a floor that can't be read is not a floor of nothing, so it throws. */
export function floorFrom(entry: {
  readonly name: string
  readonly obligations: Readonly<Record<string, string>>
}): Obligations {
  const { annotations, faults } = readAnnotations(entry.obligations, 'permit')
  const [fault] = faults
  if (fault) {
    throw new Error(`the catalog's obligations of ${entry.name} are not valid: @${fault.annotation} ${fault.message}`)
  }
  return joinObligations([noObligations, annotations.obligations])
}

/** Why such obligations would not be a floor; undefined when they are understood. */
export function floorFault(entry: { readonly obligations: Readonly<Record<string, string>> }): string | undefined {
  const [fault] = readAnnotations(entry.obligations, 'permit').faults
  return fault && `@${fault.annotation}: ${fault.message}`
}
