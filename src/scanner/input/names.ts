/** Files that hold digests by the thousand and are written by tools: known formats are looked for in them, random values by name are not. */
const LOCK_FILES = new Set([
  'package-lock.json',
  'npm-shrinkwrap.json',
  'yarn.lock',
  'pnpm-lock.yaml',
  'bun.lock',
  'deno.lock',
  'Cargo.lock',
  'go.sum',
  'go.work.sum',
  'poetry.lock',
  'Pipfile.lock',
  'uv.lock',
  'pdm.lock',
  'composer.lock',
  'Gemfile.lock',
  'mix.lock',
  'pubspec.lock',
  'Podfile.lock',
  'Package.resolved',
  'flake.lock',
  'packages.lock.json',
  'Chart.lock',
  '.terraform.lock.hcl',
  'gradle.lockfile',
  'conan.lock',
  'MODULE.bazel.lock',
  'project.assets.json',
])

/** Whether a path, also one inside of an archive, ends in such a file. */
export function isLockFile(path: string): boolean {
  return LOCK_FILES.has(path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('!')) + 1))
}
