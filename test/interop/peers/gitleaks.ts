import { join } from 'node:path'
import { build, keptFolder } from './folder.ts'

const GITLEAKS_VERSION = '8.30.1'

/** The program of gitleaks: the one that `REEVE_PEER_GITLEAKS` names, or one that Go builds from the module proxy. */
export async function gitleaksProgram(): Promise<string> {
  const named = process.env['REEVE_PEER_GITLEAKS']
  if (named !== undefined) return named
  const folder = await keptFolder(`gitleaks-${GITLEAKS_VERSION}`, async (draft) => {
    const module = `github.com/zricethezav/gitleaks/v8@v${GITLEAKS_VERSION}`
    await build('go', ['install', '-trimpath', module], draft, { GOBIN: draft })
  })
  return join(folder, 'gitleaks')
}
