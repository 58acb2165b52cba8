import type { Db } from '../kernel/db.ts'
import type { RecordingHeader } from './contract.ts'

/** Who and what a grant is about, as it stands now: what the session's entry and recording keep for good. */
export type Standing = Pick<RecordingHeader, 'subject' | 'onBehalfOf' | 'target' | 'account' | 'grant'> & {
  readonly accountId: string
  readonly recording: 'none' | 'meta' | 'full'
  readonly onRecorderLoss: 'end' | 'continue'
}

/** One look at everything a session's header says. Throws when there is no such grant. */
export async function standingOf(db: Db, grantId: string): Promise<Standing> {
  const row = await rowOf(db, grantId)
  const { personId, personName } = row
  return {
    subject: {
      id: row.subjectId,
      name: row.subjectName,
      kind: row.subjectKind,
      profile: row.profile,
      environment: row.environment,
      tier: row.tier,
      businessService: row.businessService,
      ownerTeam: row.ownerTeam,
      ownerId: row.ownerId,
      ownerName: row.ownerName,
      ownerState: row.ownerState,
    },
    onBehalfOf: personId !== null && personName !== null ? { id: personId, name: personName } : null,
    target: {
      id: row.targetId,
      name: row.targetName,
      environment: row.targetEnvironment,
      businessService: row.targetService,
      ownerTeam: row.targetTeam,
    },
    account: row.accountName,
    accountId: row.accountId,
    recording: row.recording,
    onRecorderLoss: row.onRecorderLoss,
    grant: {
      id: grantId,
      actions: row.actions,
      purpose: row.purposeName,
      ticket: row.ticket,
      task: row.task,
      expiresAt: row.expiresAt,
      policyVersion: row.policyVersion,
    },
  }
}

function rowOf(db: Db, grantId: string) {
  return db
    .selectFrom('accessGrant as g')
    .innerJoin('identity as subject', 'subject.id', 'g.subjectId')
    .leftJoin('identity as owner', 'owner.id', 'subject.ownerId')
    .leftJoin('identity as person', 'person.id', 'g.onBehalfOfId')
    .innerJoin('target', 'target.id', 'g.targetId')
    .innerJoin('account', 'account.id', 'g.accountId')
    .innerJoin('purpose', 'purpose.id', 'g.purposeId')
    .select([
      'subject.id as subjectId',
      'subject.name as subjectName',
      'subject.kind as subjectKind',
      'subject.profile',
      'subject.environment',
      'subject.tier',
      'subject.businessService',
      'subject.ownerTeam',
      'subject.ownerId',
      'subject.ownerState',
      'owner.name as ownerName',
      'person.id as personId',
      'person.name as personName',
      'target.id as targetId',
      'target.name as targetName',
      'target.environment as targetEnvironment',
      'target.businessService as targetService',
      'target.ownerTeam as targetTeam',
      'target.onRecorderLoss',
      'account.id as accountId',
      'account.name as accountName',
      'purpose.name as purposeName',
      'g.actions',
      'g.ticket',
      'g.task',
      'g.expiresAt',
      'g.policyVersion',
      'g.recording',
    ])
    .where('g.id', '=', grantId)
    .executeTakeFirstOrThrow()
}
