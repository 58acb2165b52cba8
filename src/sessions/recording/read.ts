/** Reads a recording back: played line by line, its values opened only where a key is given. */
import { z } from 'zod'
import { sealUnder, type Seal } from '../../kernel/seal.ts'
import type { Secret } from '../../kernel/secret.ts'
import { EndLine, RecordedLine, RecordingHeader, SealedLine, type PlayedLine } from '../contract.ts'
import { FrameBroken, unpackFrames } from './frames.ts'
import { placeOfValues } from './recorder.ts'
import type { RecordingStore } from './store.ts'

const StoredLine = z.discriminatedUnion('type', [RecordingHeader, RecordedLine, EndLine, SealedLine])
const SealedValues = z.array(z.tuple([z.int(), z.array(z.string()), z.string().nullable()]))

/** What opens the values of one session. */
export type Opener = { readonly sessionId: string; readonly key: Secret<Buffer> }

/** The lines from `position.storedBytes` on, which moves along. Throws `FrameBroken`; undefined when there is no such recording. */
export async function playFrom(
  store: RecordingStore,
  name: string,
  position: { storedBytes: number },
  opener?: Opener,
): Promise<AsyncIterable<PlayedLine> | undefined> {
  const stored = await store.read(name, position.storedBytes)
  return stored && linesOf(stored, position, opener)
}

async function* linesOf(
  stored: AsyncIterable<Buffer>,
  position: { storedBytes: number },
  opener: Opener | undefined,
): AsyncGenerator<PlayedLine> {
  const seal = opener && sealUnder(opener.key)
  for await (const { content, storedBytes } of unpackFrames(stored)) {
    yield* frameLines(content, seal, opener?.sessionId ?? '')
    position.storedBytes += storedBytes
  }
}

/** A frame is whole: the values of its operations stand in its own last line. */
function frameLines(content: Buffer, seal: Seal | undefined, sessionId: string): PlayedLine[] {
  const played: PlayedLine[] = []
  const opened = new Map<number, { values: string[]; message: string | null }>()
  for (const text of content.toString('utf8').split('\n')) {
    if (text === '') continue
    const line = parseLine(text)
    if (line.type !== 'sealed') played.push(line)
    else if (seal) {
      const plain = seal.open(Buffer.from(line.data, 'base64'), placeOfValues(sessionId, line.from, line.to))
      const entries = SealedValues.parse(JSON.parse(plain.reveal().toString('utf8')))
      for (const [n, values, message] of entries) opened.set(n, { values, message })
    }
  }
  return played.map((line) => {
    const found = line.type === 'operation' ? opened.get(line.n) : undefined
    if (line.type !== 'operation' || !found) return line
    const { values, message } = found
    return { ...line, values, ...(line.error && message !== null && { error: { ...line.error, message } }) }
  })
}

function parseLine(text: string): z.output<typeof StoredLine> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new FrameBroken('the recording holds a line that is no JSON', { cause: error })
  }
  const parsed = StoredLine.safeParse(value)
  if (!parsed.success) throw new FrameBroken('the recording holds a line that no recorder wrote')
  return parsed.data
}
