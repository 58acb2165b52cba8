import { execFile } from 'node:child_process'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build, keptFolder } from './folder.ts'

const run = promisify(execFile)

/** How a program of it is begun: by the loader that came with it, which finds the libraries that came with it. */
export type Unpacked = {
  readonly root: string
  readonly loader: string
  /** Behind the loader: where libraries are, and the program. */
  readonly begin: (program: string) => string[]
}

/** Packages of Debian unstable with all that they need, unpacked into a folder of their own. Nothing is installed. */
export async function debianUnstable(name: string, packages: readonly string[]): Promise<Unpacked> {
  const folder = await keptFolder(name, async (draft) => {
    const at = (part: string) => join(draft, part)
    for (const part of ['lists/partial', 'cache/archives/partial', 'root']) await mkdir(at(part), { recursive: true })
    const { stdout: sites } = await run('apt-get', [
      'indextargets',
      '--format',
      '$(SITE)',
      'Created-By: Packages',
      'Label: Debian',
    ])
    const [site] = sites.split('\n')
    if (!site) throw new Error('this machine knows no mirror of Debian')
    const key = '/usr/share/keyrings/debian-archive-keyring.gpg'
    await writeFile(at('sources.list'), `deb [signed-by=${key}] ${site} unstable main\n`)
    await writeFile(at('status'), '')
    const own = [
      `Dir::Etc::sourcelist=${at('sources.list')}`,
      'Dir::Etc::sourceparts=-',
      `Dir::State::lists=${at('lists')}`,
      `Dir::State::status=${at('status')}`,
      `Dir::Cache=${at('cache')}`,
      'Debug::NoLocking=1',
      'APT::Install-Recommends=0',
    ].flatMap((each) => ['-o', each])
    await build('apt-get', [...own, 'update', '-q'], draft)
    await build('apt-get', [...own, 'install', '-yq', '--download-only', ...packages], draft)
    const archives = (await readdir(at('cache/archives'))).filter((file) => file.endsWith('.deb'))
    for (const file of archives) await build('dpkg-deb', ['-x', join(at('cache/archives'), file), at('root')], draft)
    for (const part of ['lists', 'cache', 'status']) await rm(at(part), { recursive: true })
  })
  const root = join(folder, 'root')
  const libraries = [join(root, 'usr/lib/x86_64-linux-gnu'), join(root, 'usr/lib/aarch64-linux-gnu')]
  const loader = process.arch === 'arm64' ? 'usr/lib/ld-linux-aarch64.so.1' : 'usr/lib64/ld-linux-x86-64.so.2'
  return {
    root,
    loader: join(root, loader),
    begin: (program) => ['--library-path', libraries.join(':'), join(root, program)],
  }
}
