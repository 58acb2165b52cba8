import type { Client } from '../client.ts'
import { EXIT, Failure, usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { handedFor, isSameServer, valueOf, type HookTerms } from './grant.ts'

/**
 * The helper protocol of git (gitcredentials(7), git-credential(1)): attributes as lines on standard input, those that are known on standard output. `store`
 * and `erase` change nothing, since Reeve keeps the login. A login goes to its own server alone: for every other one the helper has nothing to say.
 */
export async function answerGit(io: Io, client: () => Client, terms: HookTerms, verb: string): Promise<void> {
  const asked = attributesIn(await io.readStdin())
  if (verb === 'store' || verb === 'erase') return
  // gitcredentials(7): a helper ignores what it does not know.
  if (verb !== 'get') return
  const { protocol, host } = asked
  if (protocol === undefined || host === undefined) return
  using open = client()
  const handed = await handedFor(io, open, terms, { kind: 'https-login' })
  if (!isSameServer(`${protocol}://${host}`, handed.about['server'])) {
    return tell(io, `reeve: ${terms.target} is another server than the one that git asks for.`)
  }
  const username = lineOf(valueOf(handed, 'username'))
  if (asked['username'] !== undefined && asked['username'] !== username) {
    return tell(io, `reeve: ${terms.target} lends another user name than the one that git asks for.`)
  }
  const until = Math.floor(handed.validBefore.getTime() / 1000)
  io.stdout.write(
    `username=${username}\npassword=${lineOf(valueOf(handed, 'password'))}\npassword_expiry_utc=${until}\n`,
  )
}

function attributesIn(text: string): Record<string, string | undefined> {
  const lines = text.split('\n').filter((line) => line.includes('='))
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

/** A line break in a value would be another attribute. */
function lineOf(value: string): string {
  if (/[\n\r\0]/.test(value)) throw new Failure(EXIT.server, 'The login has a line break, which git cannot be given.')
  return value
}

/** The protocol of docker's credential helpers. */
export async function answerDocker(io: Io, client: () => Client, terms: HookTerms, verb: string): Promise<void> {
  if (verb === 'list') return void io.stdout.write('{}\n')
  const text = (await io.readStdin()).trim()
  if (verb === 'erase') return
  if (verb === 'store') throw usage('Reeve lends logins and keeps none of yours: leave out docker login.')
  if (verb !== 'get') throw usage('docker asks for get, store, erase or list.')
  using open = client()
  const handed = await handedFor(io, open, terms, { kind: 'https-login' })
  const server = text.includes('://') ? text : `https://${text}`
  const { origin } = URL.parse(handed.about['server'] ?? '') ?? {}
  if (!isSameServer(server, origin) && !isSameServer(server.replace(/^https:/, 'http:'), origin)) {
    // docker tells this sentence from a failure, and goes on without a login.
    io.stdout.write('credentials not found in native keychain\n')
    throw new Failure(EXIT.usage, `${terms.target} is another server than the one that docker asks for.`)
  }
  const login = { ServerURL: text, Username: valueOf(handed, 'username'), Secret: valueOf(handed, 'password') }
  io.stdout.write(`${JSON.stringify(login)}\n`)
}
