/** Reading failed in a way that may be said aloud: one sentence of ours, nothing of the source's words. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable'
}

/** Reading failed in a way that may pass: it is tried again, and said aloud, in a sentence of ours as well, when it stays so. */
export class Faltering extends Error {
  override readonly name = 'Faltering'
}
