import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { connect as secureConnect } from 'node:tls'

type Params = Readonly<Record<string, unknown>>
// oxlint-disable-next-line typescript/no-explicit-any -- the protocol answers with objects of every shape
type Answer = any

/** One page of a real Chromium, driven by its own protocol (CDP) over the WebSocket of Node. */
export type Tab = {
  send(method: string, params?: Params): Promise<Answer>
  /** Goes there, and resolves when the page is loaded. */
  open(url: string): Promise<void>
  /** Does something that leads to another page, and resolves when that is loaded. */
  leaving(script: string): Promise<void>
  /** What an expression comes to in the page. */
  value(script: string): Promise<Answer>
}

/** Starts Chromium without a window. It takes the certificate of one server, whose key is pinned, and nothing else that is not trusted. */
export async function chromium(t: Pick<TestContext, 'after'>, port: number): Promise<Tab> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-chromium-'))
  const spki = await publicKeyAt(port)
  const program = spawn(
    'chromium',
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--remote-debugging-port=0',
      `--user-data-dir=${folder}`,
      `--ignore-certificate-errors-spki-list=${createHash('sha256').update(spki).digest('base64')}`,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const ended = new Promise<void>((resolve) => program.once('exit', () => resolve()))
  t.after(async () => {
    program.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return tabOf(await connect(await address(program.stderr)))
}

/** The key of the server there: that it is ours is not the question of a browser that the test starts. */
function publicKeyAt(port: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = secureConnect(
      { port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false },
      () => {
        const key = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' })
        socket.destroy()
        if (key) resolve(key)
        else reject(new Error('the server showed no certificate'))
      },
    )
    socket.on('error', reject)
  })
}

async function address(stderr: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stderr })) {
    const url = /^DevTools listening on (ws:\S+)$/.exec(line)?.[1]
    if (url === undefined) continue
    stderr.resume()
    return url
  }
  throw new Error('Chromium ended before it listened')
}

type Line = {
  call(method: string, params: Params, sessionId?: string): Promise<Answer>
  /** Resolves with the next event of this name. */
  next(method: string): Promise<Answer>
}

async function connect(url: string): Promise<Line> {
  const socket = new WebSocket(url)
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', () => reject(new Error('Chromium does not talk')))
  })
  const waiting = new Map<number, { resolve: (value: Answer) => void; reject: (error: Error) => void }>()
  const heard = new Map<string, ((params: Answer) => void)[]>()
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error, method, params } = JSON.parse(String(data))
    if (error) waiting.get(id)?.reject(new Error(error.message))
    else if (id !== undefined) waiting.get(id)?.resolve(result)
    else for (const each of heard.get(method)?.splice(0) ?? []) each(params)
  })
  let ids = 0
  return {
    call: (method, params, sessionId) =>
      new Promise((resolve, reject) => {
        ids += 1
        waiting.set(ids, { resolve, reject })
        socket.send(JSON.stringify({ id: ids, method, params, ...(sessionId !== undefined && { sessionId }) }))
      }),
    next: (method) =>
      new Promise((resolve) => {
        heard.set(method, [...(heard.get(method) ?? []), resolve])
      }),
  }
}

async function tabOf(line: Line): Promise<Tab> {
  const { targetId } = await line.call('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await line.call('Target.attachToTarget', { targetId, flatten: true })
  const send: Tab['send'] = (method, params = {}) => line.call(method, params, sessionId)
  await send('Page.enable')
  const loading = async (work: () => Promise<unknown>) => {
    const loaded = line.next('Page.loadEventFired')
    await work()
    await loaded
  }
  const value: Tab['value'] = async (expression) => {
    const { result, exceptionDetails } = await send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    }).catch((error: Error) => {
      throw new Error(`${expression}: ${error.message}`)
    })
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }
  return {
    send,
    value,
    open: (url) => loading(() => send('Page.navigate', { url })),
    leaving: (script) =>
      loading(async () => {
        // The page that was left may answer nothing any more.
        await send('Runtime.evaluate', { expression: script, userGesture: true }).catch((error: Error) => {
          if (!error.message.includes('navigated')) throw error
        })
      }),
  }
}
