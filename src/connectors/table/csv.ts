/** RFC 4180 as it is written in the world: any line end, an optional byte order mark, one character between fields. */
const FIELD_CHARACTERS = 65_536
const FIELDS_MAX = 1_000

/** It is no CSV that can be told apart into records; the sentence is ours. */
export class CsvInvalid extends Error {
  override readonly name = 'CsvInvalid'
}

/** Records as they come; a field beyond all bounds or a quote that nobody closes throws. Empty lines are none. */
export async function* csvRecords(chunks: AsyncIterable<string>, separator: string): AsyncGenerator<string[], void> {
  const reader = new Reader(separator)
  for await (const chunk of chunks) yield* reader.add(chunk)
  yield* reader.end()
}

class Reader {
  readonly #separator: string
  #record: string[] = []
  #field = ''
  /** Whether inside of quotes, just behind a closing one (another opens again: it was doubled), or neither. */
  #quoted: 'no' | 'inside' | 'closed' = 'no'
  #isFirst = true
  #hasQuotes = false

  constructor(separator: string) {
    this.#separator = separator
  }

  *add(chunk: string): Generator<string[], void> {
    const text = this.#isFirst && chunk.startsWith('\ufeff') ? chunk.slice(1) : chunk
    if (chunk !== '') this.#isFirst = false
    for (const character of text) {
      if (this.#quoted === 'inside') this.#inside(character)
      else if (character === '"' && this.#quoted === 'closed') {
        this.#take('"')
        this.#quoted = 'inside'
      } else if (character === '"' && this.#field === '' && !this.#hasQuotes) {
        this.#quoted = 'inside'
        this.#hasQuotes = true
      } else if (character === this.#separator) this.#endField()
      else if (character === '\n' || character === '\r') yield* this.#endRecord()
      else if (this.#quoted === 'closed') throw new CsvInvalid('something stands behind a closing quote')
      else this.#take(character)
    }
  }

  *end(): Generator<string[], void> {
    if (this.#quoted === 'inside') throw new CsvInvalid('a quote is never closed')
    yield* this.#endRecord()
  }

  #inside(character: string): void {
    if (character === '"') this.#quoted = 'closed'
    else this.#take(character)
  }

  #take(character: string): void {
    if (this.#field.length >= FIELD_CHARACTERS) throw new CsvInvalid('a field is longer than any should be')
    this.#field += character
  }

  #endField(): void {
    if (this.#record.length >= FIELDS_MAX) throw new CsvInvalid('a record has more fields than any should')
    this.#record.push(this.#field)
    this.#field = ''
    this.#quoted = 'no'
    this.#hasQuotes = false
  }

  *#endRecord(): Generator<string[], void> {
    const isEmpty = this.#record.length === 0 && this.#field === '' && !this.#hasQuotes
    if (isEmpty) return
    this.#endField()
    const record = this.#record
    this.#record = []
    yield record
  }
}
