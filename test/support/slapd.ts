import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import type { Cleaning } from './installation.ts'

export type Slapd = {
  readonly port: number
  /** The port of LDAPS. */
  readonly secure: number
  /** PEM of its certificate, which is for `localhost`. */
  readonly authorities: string
  /** As the root of the directory, by the real client. */
  modify(ldif: string): void
  /** By the real client and StartTLS: who it is there; throws when it is refused. */
  whoami(dn: string, password: string): string
  /** As the root: the entry as LDIF. */
  show(dn: string): string
}

type Start = {
  readonly base: string
  readonly root: { readonly user: string; readonly password: string }
  readonly ldif: string
  /** Rules in their order, each without its `access`. */
  readonly access: readonly string[]
  /** Limits in their order, each without its `limits`. */
  readonly limits?: readonly string[]
}

/** Debian's slapd with TLS in a folder of its own, on free ports of the loopback. It is ended by its process alone. */
export async function startSlapd(
  t: Pick<Cleaning, 'after'>,
  { base, root, ldif, access, limits = [] }: Start,
): Promise<Slapd> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-slapd-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const at = (name: string) => join(folder, name)
  mkdirSync(at('db'))
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      ...subject,
      '-keyout',
      at('key'),
      '-out',
      at('crt'),
    ],
    { stdio: 'ignore' },
  )
  const conf = `
${['core', 'cosine', 'inetorgperson', 'nis'].map((name) => `include /etc/ldap/schema/${name}.schema`).join('\n')}
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile ${at('crt')}
TLSCertificateKeyFile ${at('key')}
security simple_bind=128
sizelimit size.soft=unlimited size.hard=unlimited size.pr=unlimited
database mdb
maxsize 104857600
suffix "${base}"
rootdn "${root.user}"
rootpw ${root.password}
directory ${at('db')}
lastbind on
${access.map((rule) => `access ${rule}`).join('\n')}
${limits.map((rule) => `limits ${rule}`).join('\n')}
`
  writeFileSync(at('conf'), conf)
  execFileSync('/usr/sbin/slapadd', ['-f', at('conf')], {
    input: ldif,
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const [port, secure] = [await freePort(), await freePort()]
  const listen = `ldap://127.0.0.1:${port} ldaps://127.0.0.1:${secure}`
  const child = spawn('/usr/sbin/slapd', ['-f', at('conf'), '-h', listen, '-d', '0'], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  for (const until = performance.now() + 30_000; ; await pause(50)) {
    assert.ok(child.exitCode === null && performance.now() < until, 'slapd did not start')
    const line = connect(secure, '127.0.0.1')
    const isUp = await Promise.race([
      once(line, 'connect').then(() => true),
      once(line, 'error').then(() => false),
    ]).catch(() => false)
    line.destroy()
    if (isUp) break
  }
  const env = { ...process.env, LDAPTLS_CACERT: at('crt') }
  const as = (program: string, who: typeof root, args: readonly string[] = [], input = '') =>
    execFileSync(
      program,
      ['-x', '-H', `ldap://127.0.0.1:${port}`, '-ZZ', '-D', who.user, '-w', who.password, ...args],
      {
        input,
        env,
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    ).toString()
  return {
    port,
    secure,
    authorities: readFileSync(at('crt'), 'utf8'),
    modify: (change) => void as('ldapmodify', root, [], change),
    whoami: (user, password) => as('ldapwhoami', { user, password }).trim(),
    show: (dn) => as('ldapsearch', root, ['-LLL', '-o', 'ldif-wrap=no', '-b', dn, '-s', 'base', '*', '+']),
  }
}
