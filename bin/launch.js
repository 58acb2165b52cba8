// Plain JavaScript that Node 20 understands: it finds a Node new enough for the rest and hands over.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

const WANTED_MAJOR = 24
/** Told to the new process, so that a Node that is still too old ends instead of starting itself for ever. */
const MARK = '--reeve-relaunched'
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGWINCH']

/**
 * Runs `<name>` of this package: the TypeScript where it stands (a clone), else the JavaScript that was made of it (an
 * installed package, since Node strips no types below node_modules).
 */
export async function launch(name) {
  const entry = entryOf(name)
  const isRelaunched = process.argv[2] === MARK
  const major = Number(process.versions.node.split('.')[0])
  if (major >= WANTED_MAJOR) {
    if (isRelaunched) process.argv.splice(2, 1)
    const { main } = await import(pathToFileURL(entry).href)
    process.exitCode = await main(process.argv.slice(2), (text) => process.stdout.write(`${text}\n`))
    return
  }
  const node = bundledNode()
  if (isRelaunched || node === undefined) {
    process.stderr.write(
      `reeve needs Node ${WANTED_MAJOR} or later and this is ${process.versions.node}. Install it, or install this package with its ` +
        `optional dependencies: they bring one for Linux.\n`,
    )
    process.exitCode = 1
    return
  }
  relaunch(node)
}

function entryOf(name) {
  const candidates = name === 'reeve' ? ['src/reeve', 'dist/src/reeve'] : ['verifier/verify', 'dist/verifier/verify']
  const [source, made] = candidates
  const typescript = fileURLToPath(new URL(`../${source}.ts`, import.meta.url))
  if (existsSync(typescript)) return typescript
  return fileURLToPath(new URL(`../${made}.js`, import.meta.url))
}

function bundledNode() {
  try {
    const path = fileURLToPath(import.meta.resolve(`node-${process.platform}-${process.arch}/bin/node`))
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

function relaunch(node) {
  const [, script, ...args] = process.argv
  // The channel carries no message: it closes when this process dies by any means, and the other one then ends too.
  const child = spawn(node, [...process.execArgv, script, MARK, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`reeve could not start ${node}: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code ?? 1
      return
    }
    for (const name of FORWARDED) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}
