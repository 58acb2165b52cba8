import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, keptFolder } from './folder.ts'

/** A folder with exactly these packages of npm (`name@version`) and what they need, none of whose scripts was run. */
export async function nodeWith(name: string, packages: readonly string[]): Promise<string> {
  return keptFolder(`node-${name}`, async (draft) => {
    await writeFile(join(draft, 'package.json'), JSON.stringify({ name, private: true }))
    await build('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--save-exact', ...packages], draft)
  })
}

/** Where a program of this folder finds its packages. */
export function nodeFrom(folder: string): string {
  return join(folder, 'package.json')
}
