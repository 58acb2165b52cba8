import { z } from 'zod'
import { event, shown, type EventKind } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { SEVERITIES, SUBJECT_KINDS } from './rule.ts'

const Rule = shown(z.string().max(64))
const Text = shown(z.string().max(500))
const Severity = shown(z.enum(SEVERITIES))
const stands = {
  rule: Rule,
  subjectKind: shown(z.enum(SUBJECT_KINDS)),
  subjectId: Id,
  severity: Severity,
  evidence: shown(z.array(z.string().max(1000)).max(20)),
  uncertainty: shown(z.array(z.string().max(1000)).max(20)),
}

export const findingOpened = event('finding.opened', 'A rule found something wrong.', stands)
export const findingRestated = event('finding.restated', 'A finding stands on other facts than before.', stands)
export const findingReopened = event('finding.reopened', 'A finding that was accepted or fixed is open again.', {
  rule: Rule,
  severity: Severity,
  because: Text,
})
export const findingFixed = event('finding.fixed', 'Facts that were read later show that a finding is no more.', {
  rule: Rule,
})
export const findingAccepted = event('finding.accepted', 'A person accepted a finding as it is, until an instant.', {
  rule: Rule,
  severity: Severity,
  reason: Text,
  before: Instant,
})

export const findingEvents: readonly EventKind[] = [
  findingOpened,
  findingRestated,
  findingReopened,
  findingFixed,
  findingAccepted,
]
