import { join } from 'node:path'
import { build, keptFolder } from './folder.ts'

/**
 * A Python with exactly these packages (`name==version`) beside its own library; `name` tells it from others. What is
 * given back is the interpreter: programs of packages are run as its modules (`-m`), because their scripts name the
 * folder that they were installed in.
 */
export async function pythonWith(name: string, packages: readonly string[]): Promise<string> {
  const folder = await keptFolder(`python-${name}`, async (draft) => {
    await build('python3', ['-m', 'venv', join(draft, 'venv')], draft)
    await build(join(draft, 'venv', 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', ...packages], draft)
  })
  return join(folder, 'venv', 'bin', 'python')
}
