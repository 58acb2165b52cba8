/** One policy could not be evaluated: the language skips the policy and goes on. */
export class EvaluationFault extends Error {
  override name = 'EvaluationFault'
}

/** The question or its entities don't fit the schema: nothing is evaluated. */
export class DataFault extends Error {
  override name = 'DataFault'
}

/** Something this engine doesn't do. Whoever asked puts the whole question to the reference engine; nothing is guessed. */
export class NotCompiled extends Error {
  override name = 'NotCompiled'
}
