import { violatedConstraint } from './db.ts'

/** Runs a write; when it breaks one of the named constraints, throws what the map says of it in place of the database's error. */
export async function translating<T>(
  meanings: Readonly<Record<string, (cause: unknown) => Error>>,
  write: () => Promise<T>,
): Promise<T> {
  try {
    return await write()
  } catch (error) {
    const constraint = violatedConstraint(error)
    const meaning = constraint !== undefined && Object.hasOwn(meanings, constraint) ? meanings[constraint] : undefined
    throw meaning ? meaning(error) : error
  }
}
