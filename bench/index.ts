/** `npm run bench -- <name> [flags]`: runs bench/<name>.ts. Each prints a table and, as its last line, `RESULT ` with one JSON object. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const [name, ...flags] = process.argv.slice(2)
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && file !== 'index.ts')
  .map((file) => file.slice(0, -3))

if (name === undefined || !/^[a-z-]+$/.test(name) || !existsSync(join(import.meta.dirname, `${name}.ts`))) {
  console.error(`usage: npm run bench -- ${names.join('|')} [flags]`)
  process.exitCode = 2
} else {
  const { run }: { run: (flags: string[]) => Promise<void> } = await import(`./${name}.ts`)
  await run(flags)
}
