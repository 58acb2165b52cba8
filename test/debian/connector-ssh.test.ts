import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { sshConnector } from '../../src/connectors/ssh/connector.ts'
import { certificateOf, pemKey } from '../support/certificates.ts'
import { saysEachRight, type Right } from '../support/each-right.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { freePort } from '../support/free-port.ts'

// The connector over OpenSSH of Debian, its client and its sshd. Who runs this as root reads this machine as root; as anybody else, less is seen.

const execute = promisify(execFile)
const account = userInfo().username
const isRoot = account === 'root'
const cleaning = cleaningOfFile()
let folder: string
let port: number
let said = ''

const keysFile = (user: string) => join(folder, 'keys', user)
const read = (name: string) => readFileSync(join(folder, name), 'utf8').trim()

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reeve-hosts-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const key of ['host', 'other-host', 'reader', 'backup'])
    await execute('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', `${key}@test`, '-f', join(folder, key)])
  mkdirSync(join(folder, 'keys'))
  mkdirSync(join(folder, 'certificates'))
  mkdirSync('/run/sshd', { recursive: true })
  port = await freePort()
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host')}`,
    'PidFile none',
    `AuthorizedKeysFile ${join(folder, 'keys')}/%u`,
    `TrustedUserCAKeys ${join(folder, 'backup.pub')}`,
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    // The folder of the test is under a folder that everybody may write to.
    'StrictModes no',
    'LogLevel VERBOSE',
  ]
  writeFileSync(join(folder, 'sshd_config'), `${config.join('\n')}\n`)
  await startSshd('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')])
})

after(() => cleaning.now())

/** Until it listens; ended with the file. */
async function startSshd(program: string, args: readonly string[]): Promise<void> {
  let words = ''
  const daemon = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const listening = new Promise<void>((resolve, reject) => {
    daemon.stderr.on('data', (chunk: Buffer) => {
      words += chunk.toString('utf8')
      said += chunk.toString('utf8')
      if (words.includes('Server listening')) resolve()
    })
    daemon.on('exit', () => reject(new Error(`sshd ended: ${words}`)))
  })
  cleaning.after(async () => {
    if (daemon.exitCode !== null) return
    daemon.kill()
    await once(daemon, 'exit')
  })
  await listening
}

function estate(): Bed {
  const backup = read('backup.pub').split(' ').slice(0, 2).join(' ')
  const options = 'from="192.0.2.0/24",command="/usr/bin/backup --token hunter2",restrict'
  writeFileSync(keysFile(account), `${read('reader.pub')}\n`)
  // An account that every Debian has, and that does not log in here.
  writeFileSync(keysFile('daemon'), `# nobody's\n${options} ${backup} nightly backup\n`)
  const made = certificateOf({ subject: 'host.example' })
  writeFileSync(join(folder, 'certificates', 'host.pem'), `${made.pem}${pemKey(made.key)}`, { mode: 0o600 })
  const settings = {
    host: '127.0.0.1',
    port,
    user: account,
    hostKeys: [read('host.pub')],
    // Where there is no sudo the script runs as who logged in.
    sudo: true,
    sshdConfig: join(folder, 'sshd_config'),
    certificateFolders: [join(folder, 'certificates')],
  }
  return {
    connector: sshConnector,
    settings,
    credential: { privateKey: read('reader') },
    whole: ['accounts', 'authorized-keys', 'sshd', 'jobs', 'certificates'],
    secrets: [read('reader').split('\n')[2] ?? '', pemKey(made.key).split('\n')[1] ?? '', 'hunter2'],
    async lose() {
      rmSync(keysFile('daemon'))
      return 'authorized-keys'
    },
    async deny() {
      // The same login, which is root no more: sshd runs what the key's line says and not what was asked for.
      const command = 'command="/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups /bin/sh -s"'
      writeFileSync(keysFile(account), `${command} ${read('reader.pub')}\n`)
      return ['authorized-keys']
    },
    async plant() {
      const comments = ['=cmd|calc hostile', '\u001b[31mhostile', '\u202ehostile', `hostile ${'x'.repeat(2000)}`]
      const lines: string[] = []
      for (const [at, comment] of comments.entries()) {
        const file = join(folder, `hostile-${at}`)
        rmSync(file, { force: true })
        await execute('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
        lines.push(`${read(`hostile-${at}.pub`).split(' ').slice(0, 2).join(' ')} ${comment}`)
      }
      writeFileSync(keysFile('bin'), `${lines.join('\n')}\n`)
      return { table: 'observed_credential', count: comments.length, like: '%hostile%' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance: ${story}`, { skip: isRoot ? false : 'the estate is read as root' }, async (t) => run(t, estate()))
}

test(
  'keys with their options, who trusts whom and the settings of sshd are told as they stand',
  { skip: !isRoot },
  async (t) => {
    const bed = estate()
    const i = await inventoryWorld(t)
    await i.collect(await i.source(bed.connector, bed.settings, { credential: bed.credential ?? {} }))
    const { db } = i.w

    const key = await db
      .selectFrom('observedCredential')
      .selectAll()
      .where('name', '=', 'nightly backup')
      .executeTakeFirst()
    const { stdout } = await execute('ssh-keygen', ['-l', '-f', join(folder, 'backup.pub')])
    assert.deepEqual(key?.fingerprints, [`ssh-sha256:${stdout.split(' ')[1]}`])
    assert.deepEqual([...(key?.bindings ?? [])].toSorted(), ['command', 'ip'])
    const owner = await db
      .selectFrom('observedPrincipal')
      .select(['name'])
      .where('id', '=', key?.principalId ?? '')
      .executeTakeFirst()
    assert.equal(owner?.name, 'daemon')
    const sshd = await db.selectFrom('observedResource').select('facts').where('type', '=', 'sshd').executeTakeFirst()
    assert.equal(Object(sshd?.facts).passwordauthentication, 'no')
    const trust = await db.selectFrom('observedTrust').select(['issuer', 'isWildcard']).execute()
    assert.deepEqual(trust, [{ issuer: `ssh authority ${stdout.split(' ')[1]}`, isWildcard: true }])
    assert.equal(await i.count('observed_reference', `facts->>'holds' = 'private key' and facts->>'mode' = '0600'`), 1)
    assert.equal(await i.count('observed_grant', `privilege = 'root' and level = 'admin'`), 1)
  },
)

test("logins are counted from sshd's own lines, once, over two readings", { skip: !isRoot }, async (t) => {
  const bed = estate()
  const log = join(folder, 'auth.log')
  const i = await inventoryWorld(t)
  const id = await i.source(bed.connector, { ...(bed.settings as object), log }, { credential: bed.credential ?? {} })
  // As rsyslog puts a time in front of what sshd says.
  const lines = () =>
    said
      .split('\n')
      .filter((line) => line.startsWith('Accepted publickey'))
      .map(
        (line, at) =>
          `2026-01-01T00:00:${String(at % 60).padStart(2, '0')}.000000+00:00 host sshd[1]: ${line.trim()}\n`,
      )
  const written = lines()
  assert.ok(written.length > 0)
  writeFileSync(log, written.join(''))
  await i.collect(id)
  const second = await i.collect(id)

  assert.equal(second.scopes.find(({ scope }) => scope === 'log')?.status, 'complete')
  const uses = await i.w.db
    .selectFrom('observedUsage')
    .select((is) => is.fn.sum<string>('count').as('n'))
    .where('semantics', '=', 'auth')
    .executeTakeFirst()
  // Each for the account and for its key.
  assert.equal(Number(uses?.n), written.length * 2)
})

test('attack: a host with another key is not believed, and gets neither the login nor the script', async (t) => {
  const bed = estate()
  const i = await inventoryWorld(t)
  const before = said.split('Accepted').length
  const settings = { ...(bed.settings as object), hostKeys: [read('other-host.pub')] }
  const { outcome, problem } = await i.collect(
    await i.source(bed.connector, settings, { credential: bed.credential ?? {} }),
  )

  assert.equal(outcome, 'failed')
  assert.match(problem ?? '', /another key than the settings/)
  assert.equal(said.split('Accepted').length, before)
})

test('a key that the host does not know is a problem of the source, in words of ours', async (t) => {
  const bed = estate()
  const i = await inventoryWorld(t)
  const { outcome, problem } = await i.collect(
    await i.source(bed.connector, bed.settings, { credential: { privateKey: read('other-host') } }),
  )

  assert.equal(outcome, 'failed')
  assert.match(problem ?? '', /refuses the key/)
})

test('attack: nothing of this process reaches ssh: no agent, no configuration of the machine', async (t) => {
  const bed = estate()
  const agent = join(folder, 'agent')
  const server = createServer(() => (asked += 1)).listen(agent)
  let asked = 0
  await once(server, 'listening')
  const before = process.env['SSH_AUTH_SOCK']
  process.env['SSH_AUTH_SOCK'] = agent
  t.after(() => {
    server.close()
    if (before === undefined) delete process.env['SSH_AUTH_SOCK']
    else process.env['SSH_AUTH_SOCK'] = before
  })
  const i = await inventoryWorld(t)
  await i.collect(await i.source(bed.connector, bed.settings, { credential: bed.credential ?? {} }))

  assert.equal(asked, 0)
})

const hasSudo = isRoot && existsSync('/usr/bin/sudo') && spawnSync('unshare', ['-m', 'true']).status === 0

test(
  'a reader that sudo makes root by the rule of the page sees all, is told by that rule, and says what it lacks without it',
  { skip: hasSudo ? false : 'needs sudo, and mounts of its own' },
  async () => {
    const { settings, credential = {} } = estate()
    const rule = 'reeve-reader ALL=(root) NOPASSWD: /bin/sh -s\n'
    const sudoers = join(folder, 'sudoers.d')
    const own = await machineOfItsOwn(sudoers)
    const write = (text: string) => {
      rmSync(join(sudoers, 'reader'), { force: true })
      writeFileSync(join(sudoers, 'reader'), text, { mode: 0o440 })
    }
    write(rule)
    writeFileSync(keysFile('reeve-reader'), `${read('reader.pub')}\n`)
    const reader = {
      connector: sshConnector,
      settings: { ...Object(settings), port: own, user: 'reeve-reader' },
      credential,
      isForetold: true,
    }
    const root = 'settings.sudo, and in sudoers for the login: NOPASSWD: /bin/sh -s'
    const says: Right['says'] = {
      'authorized-keys': ['denied', root],
      sshd: ['denied', root],
      sudoers: ['denied', root],
      certificates: ['partial', root],
    }

    const { read: whole } = await saysEachRight(reader, [
      {
        name: 'the rule of sudo',
        take: async () => write(''),
        give: async () => write(rule),
        says,
      },
      {
        name: 'its word that no password is asked for',
        take: async () => write(rule.replace('NOPASSWD: ', '')),
        give: async () => write(rule),
        says,
      },
    ])
    assert.deepEqual(whole['sudoers'], ['complete'])
  },
)

/** An sshd that sees this machine with one account and one folder of rules more, by mounts that nobody else has. */
async function machineOfItsOwn(sudoers: string): Promise<number> {
  const files = {
    '/etc/passwd': 'reeve-reader:x:20999:20999::/nonexistent:/bin/sh\n',
    '/etc/group': 'reeve-reader:x:20999:\n',
    '/etc/shadow': 'reeve-reader:*:20000:0:99999:7:::\n',
  }
  mkdirSync(sudoers, { mode: 0o755 })
  // sshd reads the keys of an account as that account.
  chmodSync(folder, 0o711)
  const mounts = [`mount --bind ${sudoers} /etc/sudoers.d`]
  for (const [at, [file, line]] of Object.entries(files).entries()) {
    const copy = join(folder, `own-${at}`)
    writeFileSync(copy, readFileSync(file, 'utf8') + line, { mode: 0o644 })
    mounts.push(`mount --bind ${copy} ${file}`)
  }
  const own = await freePort()
  const config = join(folder, 'sshd_own')
  writeFileSync(config, read('sshd_config').replace(`Port ${port}`, `Port ${own}`))
  await startSshd('unshare', ['-m', 'sh', '-c', [...mounts, `exec /usr/sbin/sshd -D -e -f ${config}`].join(' && ')])
  return own
}
