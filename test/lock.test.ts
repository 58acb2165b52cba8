import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'

const Versions = z.record(z.string(), z.string()).default({})
const Lock = z.object({
  packages: z.record(z.string(), z.object({ version: z.string().optional(), optionalDependencies: Versions })),
})
type Packages = z.output<typeof Lock>['packages']

/** As Node and npm look: in the package's own folder, then in each one above it. */
function found(packages: Packages, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const entry = packages[join(folder, 'node_modules', name)]
    if (entry) return entry.version
    if (folder === '.') return undefined
  }
}

/** Builds for other platforms that the lock does not name, at the exact version their package wants. */
function missing(packages: Packages): string[] {
  return Object.entries(packages).flatMap(([path, { optionalDependencies }]) =>
    Object.entries(optionalDependencies)
      .filter(([, version]) => /^\d/.test(version))
      .filter(([name, version]) => found(packages, path === '' ? '.' : path, name) !== version)
      .map(([name, version]) => `${name}@${version}, wanted by ${path}`),
  )
}

const { packages } = Lock.parse(JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package-lock.json'), 'utf8')))

// `npm ci` refuses a lock that lacks one, and `npm install` from a mirror without them writes such a lock.
test('the lock names the builds of every platform, so that npm ci accepts it everywhere', () => {
  assert.deepEqual(missing(packages), [])
})

test('a build that is missing from the lock is found', () => {
  const planted = { ...packages, 'node_modules/planted': { optionalDependencies: { 'planted-arm': '1.0.0' } } }

  assert.deepEqual(missing(planted), ['planted-arm@1.0.0, wanted by node_modules/planted'])
})
