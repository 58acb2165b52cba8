/** Thrown for anything foreign that is malformed or does not verify; the message says what, for people. */
export class InvalidProof extends Error {
  override readonly name = 'InvalidProof'
}
