import { Decimal } from './extension-value.ts'
import { EvaluationFault } from './fault.ts'
import { toLong } from './long.ts'

const FRACTION_DIGITS = 4

/** Reads `-12.34`: digits on both sides of the point, at most four after it. */
export function parseDecimal(text: string): Decimal {
  const [, sign = '', whole = '', fraction = ''] = /^(-?)([0-9]+)\.([0-9]+)$/.exec(text) ?? []
  if (whole === '') throw new EvaluationFault('not a decimal: expected digits on both sides of one point')
  if (fraction.length > FRACTION_DIGITS) throw new EvaluationFault('a decimal has at most four digits after its point')
  // The sign is the number's, not the whole part's alone: -0.5 is below zero.
  const units = toLong(BigInt(`${whole}${fraction.padEnd(FRACTION_DIGITS, '0')}`) * (sign === '-' ? -1n : 1n))
  if (units === undefined) throw new EvaluationFault('the decimal is out of range')
  return new Decimal(units)
}
