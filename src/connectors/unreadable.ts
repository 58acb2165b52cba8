/** Reading failed in a way that may be said aloud: one sentence of ours, nothing of the source's words. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable'
}
