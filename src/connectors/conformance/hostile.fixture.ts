/**
 * What every connector that reads over HTTP is put through: its own source's answers, spoiled. The seam is `Given.http`, so it is the same for all
 * of them; what is asserted is that a reading ends with a sentence, and that nothing is taken for gone because an answer was no answer.
 */
import assert from 'node:assert/strict'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { failOnce, leadOn, playTricks, refuseAll, skewClock, type Under } from './answers.fixture.ts'
import { honest, readMutants } from './schema.fixture.ts'
import { addressesOf, Tape, type Heard, type Readable } from './tape.fixture.ts'
import { openWire } from './wire.fixture.ts'

type HostileBed = Readable & {
  /** Answers that were kept; without them they are asked for. */
  readonly kept?: readonly Heard[]
  /** Places by which the API itself says that something is not there: what is left out of them is not missing. */
  readonly says?: readonly RegExp[]
}

type Stories = Readonly<Record<string, (bed: HostileBed) => Promise<void>>>

async function under(bed: HostileBed, use: (it: Under) => Promise<readonly string[]>): Promise<void> {
  const addresses = addressesOf(bed)
  const live = bed.kept ? [] : addresses.map((address) => sourceHttpTo(address, systemClock))
  const [tape, origins] = [new Tape(live, bed.kept), addresses.length]
  await using wire = await openWire()
  const wrong = await use({ bed, tape, origins, honest: await honest(bed, tape, origins), wire })

  assert.deepEqual(wrong, [])
  assert.equal(wire.cameElsewhere(), 0, 'an answer led to another host')
}

export const HOSTILE: Stories = {
  'an answer in another shape is said, and what it does not show is not taken for gone': (bed) =>
    under(bed, (it) => readMutants(it.bed, it.tape, it)),

  'an answer that is none is said, or waited for, and nothing is taken for gone': (bed) =>
    under(bed, async (it) => [...(await playTricks(it)), ...(await failOnce(it)), ...(await refuseAll(it))]),

  'pages that lead back, on for ever or away end, and times that cannot be harm nothing': (bed) =>
    under(bed, async (it) => [...(await leadOn(it)).wrong, ...(await skewClock(it))]),
}
