/** `npm run conform -- <name> [flags]`: runs conform/<name>.ts, which puts Reeve beside somebody else's judge of the same thing. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const [name, ...flags] = process.argv.slice(2)
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && file !== 'index.ts')
  .map((file) => file.slice(0, -3))

if (name === undefined || !/^[a-z-]+$/.test(name) || !existsSync(join(import.meta.dirname, `${name}.ts`))) {
  console.error(`usage: npm run conform -- ${names.join('|')} [flags]`)
  process.exitCode = 2
} else {
  const { run }: { run: (flags: string[]) => Promise<void> } = await import(`./${name}.ts`)
  await run(flags)
}
