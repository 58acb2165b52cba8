import { createHash } from 'node:crypto'
import { createReadStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { exportLedger, listKeys, readCheckpoint } from '../src/ledger/contract.ts'
import { listSessions, playSession, verifySession } from '../src/sessions/contract.ts'
import { sleep } from '../src/kernel/timer.ts'
import { verifyExport } from '../verifier/verify.ts'
import { refused, type Stage } from './acts.ts'
import { ms } from './evidence.ts'

/** What the sessions did, as it was recorded, against the digests in the ledger. */
export async function playSessions({ evidence, cast }: Stage): Promise<void> {
  evidence.step('What was done is on record')
  const { items } = await cast.erin.ask(listSessions, { query: { limit: 50 } })
  for (const session of items) {
    evidence.tell(
      `${session.subjectName} on ${session.accountName}@${session.targetName}: ${session.endReason ?? 'open'}, ${session.operations} operations`,
    )
    for await (const line of cast.erin.stream(playSession, { params: { session: session.id } }))
      evidence.tell(`   ${shown(line)}`)
    const verified = await cast.erin.ask(verifySession, { params: { session: session.id } })
    evidence.prove(
      'the recording is the one that was sealed',
      verified.verdict === 'intact',
      `${verified.detail} (${verified.seals} seals)`,
    )
  }
  const stranger = await refused(() => cast.pipeline.ask(listSessions, {}))
  evidence.prove('the pipeline may not look', stranger !== undefined)
}

/** The ledger is taken out of Reeve and verified by a program that shares nothing with it. */
export async function proveLedger({ evidence, cast }: Stage, folder: string): Promise<void> {
  evidence.step('The ledger proves it to somebody who trusts none of us')
  const before = await cast.erin.ask(readCheckpoint)
  const key = (await cast.erin.ask(listKeys)).items[0]?.key ?? ''
  await sleep(700)
  const file = join(folder, 'ledger.ndjson')
  const lines: string[] = []
  for await (const line of cast.erin.lines(exportLedger)) lines.push(line)
  writeFileSync(file, `${lines.join('\n')}\n`)
  const startedAt = performance.now()
  const report = await verifyExport({ source: createReadStream(file), keys: [key], checkpoints: [before.note] })
  evidence.prove(
    'the export verifies offline, against the key and a checkpoint kept earlier',
    report.ok,
    report.findings[0]?.message ?? `${report.logs[0]?.entries ?? 0} entries in ${ms(startedAt)}`,
  )
  for (const unchecked of report.notChecked) evidence.tell(`not checked: ${unchecked}`)
  const forged = lines.map(forge)
  writeFileSync(file, `${forged.join('\n')}\n`)
  const caught = await verifyExport({ source: createReadStream(file), keys: [key] })
  const isForged = forged.some((line, at) => line !== lines[at])
  evidence.prove(
    'one altered word is found, its hash made to fit',
    isForged && !caught.ok,
    caught.findings[0]?.message ?? '',
  )
}

const Leaf = z.object({ leaf: z.number(), data: z.string() })

/** What somebody with the database in hand would do: another word in an entry, and a hash that fits it. */
function forge(line: string): string {
  const leaf = Leaf.safeParse(JSON.parse(line)).data
  const text = leaf && Buffer.from(leaf.data, 'base64').toString('utf8')
  if (!leaf || !text?.includes('"reason":"revoked"')) return line
  const data = Buffer.from(text.replace('"reason":"revoked"', '"reason":"expired"'), 'utf8')
  const hash = createHash('sha256')
    .update(Buffer.concat([Buffer.of(0), data]))
    .digest('base64')
  return JSON.stringify({ leaf: leaf.leaf, hash, data: data.toString('base64') })
}

function shown(line: unknown): string {
  return JSON.stringify(line).slice(0, 150)
}
