/** JSON with whole numbers that a JavaScript number does not hold as bigints. */
export function readExact(text: string): unknown {
  return JSON.parse(text, (_key: string, value: unknown, context?: { source?: string }) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
    const source = context?.source ?? ''
    return /^-?[0-9]+$/.test(source) ? BigInt(source) : value
  })
}
