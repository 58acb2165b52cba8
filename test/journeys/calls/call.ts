import { request } from 'node:https'
import { pathOf, type Client, type Given } from '../../../src/cli/client.ts'
import type { Operation } from '../../../src/kernel/operation.ts'
import { sleep } from '../../../src/kernel/timer.ts'

/** One way to call an operation: by whom, and with what. */
export type Asked = {
  readonly by: Client
  readonly given?: Given
  readonly onFirstLine?: () => Promise<void>
  /** The change by which others agreed to exactly this call. */
  readonly change?: string
}

/** How an operation succeeds, and how it is refused to somebody without the right. */
export type Row = {
  readonly done: () => Promise<Asked> | Asked
  readonly refused: () => Promise<Asked> | Asked
  /** The problem that the refusal is. */
  readonly as: string
  /** What was changed for the row alone. */
  readonly undo?: () => Promise<void>
}

export type Rows = Readonly<Record<string, Row>>

export type Answer = { readonly status: number; readonly type: string; readonly text: string }

/** The call as it goes over the wire, without what the client adds. Too many at once are tried again when the server says. */
export async function call(operation: Operation, { by, given = {}, ...more }: Asked): Promise<Answer> {
  for (;;) {
    const { retryAfter, ...answer } = await once(operation, by, given, more)
    if (answer.status !== 429) return answer
    await sleep(Number(retryAfter) * 1000)
  }
}

function once(
  operation: Operation,
  { connection }: Client,
  given: Given,
  { onFirstLine, change }: Pick<Asked, 'onFirstLine' | 'change'>,
): Promise<Answer & { readonly retryAfter: string | undefined }> {
  const { token, client, authority, address } = connection
  const body = given.input === undefined ? undefined : JSON.stringify(given.input)
  return new Promise((resolve, reject) => {
    const sent = request({
      host: address.hostname,
      port: address.port,
      method: operation.method,
      path: pathOf(operation, given),
      ca: authority,
      ...(client && { cert: client.certificate, key: client.key.reveal() }),
      agent: false,
      headers: {
        ...(token && operation.caller === 'identity' && { authorization: `Bearer ${token.reveal()}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(change !== undefined && { 'reeve-change': change }),
      },
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      let text = ''
      let said = onFirstLine
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8')
        if (!said || !text.includes('\n')) return
        void said().catch(reject)
        said = undefined
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: (response.headers['content-type'] ?? '').split(';')[0] ?? '',
          text,
          retryAfter: response.headers['retry-after'],
        }),
      )
    })
    sent.end(body)
  })
}
