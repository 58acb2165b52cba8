import { join } from 'node:path'
import { build, keptFolder } from './folder.ts'

/** What is built when no program is named. */
export const OPENBAO_VERSION = '2.6.2'

/**
 * OpenBao's program: the one that `REEVE_PEER_OPENBAO` names, or one built by Go from its repository. It cannot be
 * fetched as a module, because its own `go.mod` replaces parts of itself.
 */
export async function openbaoProgram(): Promise<string> {
  const named = process.env['REEVE_PEER_OPENBAO']
  if (named !== undefined) return named
  const folder = await keptFolder(`openbao-${OPENBAO_VERSION}`, async (draft) => {
    const source = join(draft, 'source')
    const from = ['--depth', '1', '--branch', `v${OPENBAO_VERSION}`, 'https://github.com/openbao/openbao']
    await build('git', ['clone', '--quiet', ...from, source], draft)
    await build('go', ['build', '-trimpath', '-o', join(draft, 'bao'), '.'], source)
  })
  return join(folder, 'bao')
}
