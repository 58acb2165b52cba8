import { describe, test } from 'node:test'
import { killAtEach } from './kills.ts'
import { COMMITTED_POINTS, STORY_POINTS } from './points.ts'

/** Each on an installation of its own, so that one node starts while another dies. */
const INSTALLATIONS = 3

describe('a node is killed at every point there is, and the next one answers for it', { concurrency: true }, () => {
  const points = [...STORY_POINTS.map((point) => [point]), ...COMMITTED_POINTS]
  for (let at = 0; at < INSTALLATIONS; at += 1) {
    const its = points.filter((_, index) => index % INSTALLATIONS === at)
    test(`installation ${at + 1} of ${INSTALLATIONS}, ${its.length} points`, (t) => killAtEach(t, its))
  }
})
