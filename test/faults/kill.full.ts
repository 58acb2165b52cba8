import { test } from 'node:test'
import { killAtEach } from './kills.ts'
import { ALL_POINTS, COMMITTED_POINTS } from './points.ts'

test('a node is killed at every point there is, and the next one answers for it', (t) =>
  killAtEach(t, [...ALL_POINTS.map((point) => [point]), ...COMMITTED_POINTS]))
