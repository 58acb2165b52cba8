/**
 * Makes what a package needs and a clone does not: JavaScript, since Node strips no types below node_modules (core 27). `dist/` mirrors the
 * tree, so that code finds its data (migrations, policies, the document of the API, package.json) at the same places in both.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')

rmSync(dist, { recursive: true, force: true })
execFileSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
for (const data of ['migrations', 'policies', 'docs/reference/openapi.json']) {
  cpSync(join(root, data), join(dist, data), { recursive: true })
}
// Written by hand, since what is inside is nobody's to name; test/package.test.ts holds it to the code.
cpSync(join(root, 'types', 'decide.d.ts'), join(dist, 'src', 'decide.d.ts'))
const { name, version, type } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
writeFileSync(join(dist, 'package.json'), `${JSON.stringify({ name, version, type }, undefined, 2)}\n`)
