import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, keptFolder } from './folder.ts'

/** What is built, as `gitea/go.mod` names it: the newest whose module bears the path it is fetched by. */
export const GITEA_VERSION = '1.26.0'

/** Builds Gitea by Go, on SQLite and without the pages for browsers: what is asked of it is its API and its git. */
export async function giteaProgram(): Promise<string> {
  const folder = await keptFolder(`gitea-${GITEA_VERSION}`, async (draft) => {
    for (const file of ['go.mod', 'go.sum', 'tools.go']) {
      await copyFile(join(import.meta.dirname, 'gitea', file), join(draft, file))
    }
    const tags = ['-tags', 'sqlite sqlite_unlock_notify']
    await build('go', ['build', '-mod=mod', ...tags, '-o', join(draft, 'gitea'), 'code.gitea.io/gitea'], draft)
  })
  return join(folder, 'gitea')
}
