import { invalidInput } from './problem.ts'

/** An input that no schema could refuse: what one field says does not fit the rest, or the record. */
export function invalid(path: string, message: string) {
  return invalidInput(`The input is not valid: ${path}: ${message}.`, { issues: [{ path, message }] })
}
