/** `reeve custody rewrap` in a process of its own, which dies by SIGKILL at the last of the labelled points that it is given. */
import { loadConfig } from '../../src/kernel/config.ts'
import { onReach } from '../../src/kernel/fault.ts'
import { rewrapInstallation } from '../../src/server/rewrap.ts'

type Given = { readonly folder: string; readonly file: string; readonly arm: readonly string[] }

const { folder, file, arm }: Given = JSON.parse(process.argv[2] ?? '')
let armed = arm
onReach((label) => {
  if (label !== armed[0]) return
  armed = armed.slice(1)
  if (armed.length === 0) process.kill(process.pid, 'SIGKILL')
})
try {
  console.log((await rewrapInstallation(loadConfig({ env: {}, workingFolder: folder, file }), false)).join('\n'))
} catch (error) {
  console.log(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
