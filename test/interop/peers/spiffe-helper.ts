import { join } from 'node:path'
import { build, keptFolder } from './folder.ts'

/** What is built when no program is named. */
const SPIFFE_HELPER_VERSION = '0.11.0'

/** The program of spiffe-helper: the one that `REEVE_PEER_SPIFFE_HELPER` names, or one built by Go from its repository, as no module proxy has it. */
export async function spiffeHelperProgram(): Promise<string> {
  const named = process.env['REEVE_PEER_SPIFFE_HELPER']
  if (named !== undefined) return named
  const folder = await keptFolder(`spiffe-helper-${SPIFFE_HELPER_VERSION}`, async (draft) => {
    const source = join(draft, 'source')
    const from = ['--depth', '1', '--branch', `v${SPIFFE_HELPER_VERSION}`, 'https://github.com/spiffe/spiffe-helper']
    await build('git', ['clone', '--quiet', ...from, source], draft)
    await build('go', ['build', '-trimpath', '-o', join(draft, 'spiffe-helper'), './cmd/spiffe-helper'], source)
  })
  return join(folder, 'spiffe-helper')
}
