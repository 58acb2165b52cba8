import {
  ApprovalSyntaxError,
  mayOpenByItself,
  parseApproval,
  printApproval,
  type ApprovalExpression,
} from './approval-grammar.ts'

/** Classes of operations that can be held: what falls into `destructive` is each gateway's data, and everything is of `any`. */
export const HOLD_CLASSES = ['destructive', 'any'] as const
export type HoldClass = (typeof HOLD_CLASSES)[number]

/** An operation of the class runs once people who satisfy the gate release it. */
export type Hold = { readonly class: HoldClass; readonly gate: ApprovalExpression }

/** Whether a hold stops operations of the class. */
export function isHeldBy(hold: Hold, operationClass: string): boolean {
  return hold.class === 'any' || hold.class === operationClass
}

/** Who releases what is held, if the policy does not say. */
const OWNERS = '1 of owner(target)'

/** Reads `destructive` or `destructive by 1 of dba`, or says what was expected. */
export function readHold(text: string): Hold | string {
  const [, name = '', gate = OWNERS] = /^(\S+)(?: by (.+))?$/.exec(text) ?? []
  const known = HOLD_CLASSES.find((each) => each === name)
  if (known === undefined)
    return `expected ${HOLD_CLASSES.join(' or ')}, and who releases it: "destructive by 1 of dba"`
  try {
    const parsed = parseApproval(gate)
    // A hold is for a person to look at exactly this operation, and an `auto` asks nobody.
    if (mayOpenByItself(parsed)) return 'expected people to release it: auto has no place here'
    return { class: known, gate: parsed }
  } catch (error) {
    if (error instanceof ApprovalSyntaxError) return error.message
    throw error
  }
}

/** As `readHold` reads it. */
export function printHold({ class: name, gate }: Hold): string {
  return `${name} by ${printApproval(gate)}`
}
