/** A domain controller of Samba, private to one run: in a folder of its own, at an address of its own on this machine. Needs root, for its ports. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep } from '../../../src/kernel/timer.ts'

export const ADMINISTRATOR = 'Administrator@shop.example'
export const PASSWORD = 'Correct-Horse-4718'
const BASE = 'DC=shop,DC=example'
const START_MS = 120_000

export type Samba = {
  readonly address: string
  readonly base: string
  readonly authorities: string
  readonly version: string
  /** Changes by LDIF, as the administrator, over TLS. */
  readonly modify: (ldif: string) => void
  /** Changes that no client may make, as the server itself. */
  readonly modifyWithin: (ldif: string) => void
  /** Asks by `ldapsearch` for one entry, with attributes in base64 as they are. */
  readonly bytesOf: (dn: string, attribute: string) => Buffer
  /** Logs in by a simple bind and out again. */
  readonly logIn: (user: string, password: string) => void
  /** Adds an entry to the access rules of one entry, in SDDL. */
  readonly access: (dn: string, sddl: string) => void
}

export async function startSamba(t: { readonly after: (end: () => void) => void }): Promise<Samba> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-samba-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const at = (name: string) => join(folder, name)
  // All of 127/8 is this machine; ports of a directory are fixed, so the address is chosen.
  const address = `127.${randomInt(2, 255)}.${randomInt(1, 255)}.${randomInt(2, 255)}`
  const names = ['-subj', '/CN=dc1.shop.example', '-addext', `subjectAltName=IP:${address},DNS:dc1.shop.example`]
  const key = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', at('key'), '-out', at('crt')]
  execFileSync('openssl', [...key, ...names], { stdio: 'ignore' })
  execFileSync('chmod', ['600', at('key')])
  execFileSync(
    'samba-tool',
    [
      'domain',
      'provision',
      `--targetdir=${at('dc')}`,
      '--realm=SHOP.EXAMPLE',
      '--domain=SHOP',
      '--host-name=dc1',
      `--adminpass=${PASSWORD}`,
      '--server-role=dc',
      '--dns-backend=NONE',
      `--host-ip=${address}`,
      ...options({
        interfaces: `${address}/8`,
        'bind interfaces only': 'yes',
        'server services': 'ldap',
        'tls keyfile': at('key'),
        'tls certfile': at('crt'),
        'tls cafile': '',
      }),
    ],
    { stdio: 'ignore', timeout: START_MS },
  )
  const config = at('dc/etc/smb.conf')
  const child = spawn(
    '/usr/sbin/samba',
    ['-F', '--no-process-group', '-M', 'single', '-s', config, ...options({ 'log file': at('log') })],
    { stdio: 'ignore' },
  )
  t.after(() => void child.kill('SIGKILL'))
  for (const until = performance.now() + START_MS; !(await isUp(address)); await sleep(100))
    assert.ok(child.exitCode === null && performance.now() < until, 'Samba did not start')
  const env = { ...process.env, LDAPTLS_CACERT: at('crt') }
  const as = (user: string, password: string) => ['-x', '-H', `ldaps://${address}`, '-D', user, '-w', password]
  return {
    address,
    base: BASE,
    authorities: readFileSync(at('crt'), 'utf8'),
    version: execFileSync('/usr/sbin/samba', ['--version'], { encoding: 'utf8' }).trim(),
    modify: (ldif) =>
      void execFileSync('ldapmodify', as(ADMINISTRATOR, PASSWORD), {
        input: ldif,
        stdio: ['pipe', 'ignore', 'inherit'],
        env,
      }),
    modifyWithin: (ldif) =>
      void execFileSync('/usr/bin/python3', ['-c', WITHIN, at('dc/private/sam.ldb'), config], {
        input: ldif,
        stdio: ['pipe', 'ignore', 'inherit'],
      }),
    bytesOf(dn, attribute) {
      const asked = ['-LLL', '-o', 'ldif-wrap=no', '-t', '-T', folder, '-b', dn, '-s', 'base', attribute]
      const told = execFileSync('ldapsearch', [...as(ADMINISTRATOR, PASSWORD), ...asked], { encoding: 'utf8', env })
      const file = /:< file:\/\/(\S+)/.exec(told)?.[1]
      if (file !== undefined) return readFileSync(file)
      return Buffer.from(/^[^:\s]+: (.*)$/m.exec(told.replace(/^dn:.*\n/, ''))?.[1] ?? assert.fail(told))
    },
    logIn: (user, password) =>
      void execFileSync('ldapsearch', [...as(user, password), '-b', '', '-s', 'base', '1.1'], { stdio: 'ignore', env }),
    access: (dn, sddl) =>
      void execFileSync(
        'samba-tool',
        ['dsacl', 'set', `--objectdn=${dn}`, `--sddl=${sddl}`, '-H', at('dc/private/sam.ldb'), '-s', config],
        { stdio: ['ignore', 'ignore', 'inherit'] },
      ),
  }
}

const WITHIN = `
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
lp = LoadParm(sys.argv[2])
SamDB(url=sys.argv[1], lp=lp, session_info=system_session(lp)).modify_ldif(sys.stdin.read(), controls=['local_oid:1.3.6.1.4.1.7165.4.3.7:0'])
`

const options = (all: Readonly<Record<string, string>>) =>
  Object.entries(all).map(([name, value]) => `--option=${name}=${value}`)

async function isUp(address: string): Promise<boolean> {
  const line = connect(636, address)
  const isOpen = await Promise.race([
    once(line, 'connect').then(() => true),
    once(line, 'error').then(() => false),
  ]).catch(() => false)
  line.destroy()
  return isOpen
}
