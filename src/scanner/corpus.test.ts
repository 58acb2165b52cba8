import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCorpus } from '../../test/support/secrets/corpus.ts'
import { systemClock } from '../kernel/clock.ts'
import { fingerprintsUnder } from '../kernel/fingerprint.ts'
import { Secret } from '../kernel/secret.ts'
import { scan } from './scanner.ts'

const fingerprints = fingerprintsUnder(new Secret(Buffer.alloc(32, 7)))

test('of a labelled corpus every secret of a known format is found, nearly all by name, and nothing that only looks like one', async () => {
  const missed: string[] = []
  const wrong: string[] = []
  let named = 0
  for (const { path, text, secretLines, decoy } of makeCorpus(2026, 2)) {
    const lines = new Set<number>()
    for await (const { line, endLine, rule } of scan(
      { kind: 'bytes', name: path, bytes: Buffer.from(text) },
      { clock: systemClock, fingerprints },
    )) {
      if (![...secretLines.keys()].some((one) => one >= line && one <= endLine))
        wrong.push(`${path}:${line} ${rule} ${decoy}`)
      lines.add(line)
    }
    const [kind] = secretLines.values()
    if (kind !== undefined && lines.size === 0) missed.push(kind)
    if (kind === 'named') named += 1
  }

  assert.deepEqual(wrong, [])
  assert.deepEqual(
    missed.filter((kind) => kind !== 'named'),
    [],
  )
  assert.ok(missed.length <= named * 0.1, `${missed.length} of ${named} by name are missed`)
})
