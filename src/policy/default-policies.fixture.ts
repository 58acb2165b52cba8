// claim | subject, and after > whom it acts for | action | resource | circumstances | answer and determining policies
/** Privileged acts on targets. */
export const ON_TARGETS = `
nothing stands in production, not even reading | ann | postgres.read | prod | | no
nor does membership of the owner team | dora | postgres.read | prod | | no
nor is the founder special on targets | founder | postgres.superuser | prod | | no
nor is the account a way around the target | ann | postgres.write | account | | no
a person reads production for a purpose | ann | postgres.read | prod | purpose | yes person-reads-production
listening is reading | ann | postgres.listen | account | purpose | yes person-reads-production
a purpose that is not approved is none | ann | postgres.read | prod | purpose not approved | no
a purpose that does not cover it is none | ann | postgres.read | prod | purpose elsewhere | no
staging needs a purpose too | ann | postgres.read | staging | | no
staging is read with one | ann | postgres.read | staging | purpose | yes person-reads-outside-production
staging is changed without approval | ann | postgres.schema | staging | purpose | yes person-changes-outside-production
production is changed under approval | ann | postgres.write | prod | purpose | yes person-changes-production
and administered under approval | ann | postgres.superuser | account | purpose | yes person-changes-production
running programs is administering | ann | postgres.program | prod | purpose | yes person-changes-production
a high risk owes more | ann | postgres.write | prod | purpose, risk 75 | yes person-changes-production person-changes-production-at-high-risk
a lower one does not | ann | postgres.write | prod | purpose, risk 74 | yes person-changes-production
a high risk permits nothing by itself | ann | postgres.write | prod | risk 75 | no
nor does reading owe more | ann | postgres.read | prod | purpose, risk 75 | yes person-reads-production
a ticket and a window are no purpose | ann | postgres.write | prod | ticket, window | no
a freeze stops people | ann | postgres.write | prod | purpose, freeze | no forbid-change-in-freeze
a freeze stops workloads | pipeline | postgres.schema | prod | purpose, ticket, window, freeze | no forbid-change-in-freeze
a freeze does not stop reading | ann | postgres.read | prod | purpose, freeze | yes person-reads-production
a suspended person does nothing | ann suspended | postgres.read | prod | purpose | no forbid-inactive
nor a retired one | ann retired | postgres.read | staging | purpose | no forbid-inactive
nor a workload only discovered | pipeline discovered | postgres.read | prod | purpose | no forbid-inactive
a pipeline migrates | pipeline | postgres.schema | prod | purpose, ticket, window | yes workload-changes-production
and administers | pipeline | postgres.privilege | prod | purpose, ticket, window | yes workload-changes-production
but not at tier 0 | pipeline | postgres.superuser | tier0 | purpose, ticket, window | no
not without a ticket | pipeline | postgres.schema | prod | purpose, window | no
not without a window | pipeline | postgres.schema | prod | purpose, ticket | no
not in a shut window | pipeline | postgres.schema | prod | purpose, ticket, window shut | no
not without a purpose | pipeline | postgres.schema | prod | ticket, window | no
not with a bare token | pipeline by token | postgres.schema | prod | purpose, ticket, window | no
not even reading with a bare token | pipeline by token | postgres.read | prod | purpose | no
a bound token is a proof | pipeline by bound token | postgres.read | prod | purpose | yes workload-reads-production
nobody answers for it | pipeline ownerless | postgres.read | prod | purpose | no forbid-ownerless-workload
nobody ever did | device ownerless | postgres.read | staging | purpose | no forbid-ownerless-machine
a suggested owner is not enough in production | pipeline half-owned | postgres.read | prod | purpose | no
a staging workload stays out | pipeline of staging | postgres.read | prod | purpose | no forbid-other-environment
a workload acts in staging | pipeline of staging | postgres.schema | staging | purpose | yes workload-acts-outside-production
a machine reads | device | postgres.read | prod | purpose | yes machine-reads
a machine does not change | device | postgres.write | prod | purpose, ticket, window | no
a person on the path of workloads | ann by spiffe | postgres.read | prod | purpose | no forbid-person-as-machine
a person governed as a service | ann as service | postgres.read | prod | purpose | no forbid-person-as-machine
a workload governed as a person | pipeline as person | postgres.read | prod | purpose | no forbid-workload-as-person
a machine with a passkey | device by passkey | postgres.read | prod | purpose | no forbid-machine-as-person
an agent governed as a service | bot as service > ann | postgres.read | prod | purpose | no forbid-agent-as-person
an agent for nobody | bot | postgres.read | prod | purpose | no
an agent for a person | bot > ann | postgres.read | prod | purpose | yes agent-reads-production person-reads-production
an agent for a suspended person | bot > ann suspended | postgres.read | prod | purpose | no forbid-inactive
an agent for a workload | bot > pipeline | postgres.read | prod | purpose | no
an agent without an owner | bot ownerless > ann | postgres.read | prod | purpose | no forbid-ownerless-agent
an agent changes | bot > ann | postgres.write | prod | purpose, ticket | yes agent-changes-production person-changes-production
an agent never administers | bot > ann | postgres.superuser | prod | purpose, ticket, window | no
an agent reads staging | bot > ann | postgres.read | staging | purpose | yes agent-acts-outside-production person-reads-outside-production
break-glass on its path | glass | postgres.superuser | prod | break-glass, freeze | yes break-glass
break-glass on the ordinary path | glass | postgres.read | prod | purpose | no forbid-break-glass-on-ordinary-path
a person on the path of break-glass | ann | postgres.read | prod | purpose, break-glass | no forbid-break-glass-by-others
automation on that path | pipeline | postgres.read | prod | purpose, break-glass | no forbid-break-glass-by-others
who was reported compromised does nothing | ann | postgres.read | prod | purpose, reported | no forbid-reported
nor an agent for them | bot > ann | postgres.read | prod | purpose, reported | no forbid-reported
what only raises the risk forbids nothing by itself | ann | postgres.read | prod | purpose, reported otherwise | yes person-reads-production
who is on the path of another kind | ann | postgres.read | prod | purpose, off path | no forbid-off-path
tier 0 with a bare token, where more is asked | ann | postgres.read | tier0 | purpose, unbound | no forbid-unbound-at-tier-0
and below tier 0 | ann | postgres.read | prod | purpose, unbound | yes person-reads-production
other lacks forbid nothing by themselves | ann | postgres.read | tier0 | purpose, unowned | yes person-reads-production
an unknown kind of request | ann | postgres.read | prod | purpose, urgent | no`

/** Reeve's own operations. */
export const ON_OPERATIONS = `
a person reads the inventory | ann | target.read | prod | | yes person-reads-records
a workload does not | pipeline | target.read | prod | | no
a workload reads its own grant | pipeline | grant.read | grant of pipeline | | yes identity-reads-own-records
and no other | pipeline | grant.read | grant | | no
and itself | pipeline | identity.read | pipelineRecord | | yes identity-reads-own-records
a suspended person reads nothing | ann suspended | target.read | prod | | no forbid-inactive
recordings are not for everybody | ann | session.play | session | | no
nor for the owner team | dora | session.play | session | | no
nor for administrators | admin | ledger.export | ledger | | no
auditors export the ledger | auditor | ledger.export | ledger | | yes evidence-is-read-by-its-keepers
security opens the values of a recording | guard | session.reveal | session | | yes security-reveals-values
security follows a session | guard | session.follow | session | | yes evidence-is-read-by-its-keepers
auditors stop nothing | auditor | grant.revoke | grant | | no
anyone asks | pipeline | access.request | prod | | yes anyone-asks
anyone registers a purpose | ann | purpose.propose | installation | | yes anyone-asks
the ownerless do not ask | pipeline ownerless | access.request | prod | | no forbid-ownerless-workload
a workload gets documents of its own | pipeline | svid.issue | pipelineRecord | | yes what-runs-gets-its-own-svids
an agent none of a workload | bot > ann | jwt-svid.issue | pipelineRecord | | no
nor does a person | ann | svid.issue | pipelineRecord | | no
the subject uses its grant | ann | ticket.issue | grant | | yes own-grants-are-used-by-their-subject
nobody else uses it | dora | ticket.issue | grant | | no
not even the founder | founder | ticket.issue | grant | | no
the requester withdraws | dora | access.withdraw | request by dora | | yes requester-withdraws
the owner team approves | dora | access.approve | request | | yes approver-decides
others do not | admin | access.approve | request | | no
nobody approves their own request | dora | access.approve | request by dora | | no forbid-deciding-own-request
nor what is about them | dora | access.approve | request about dora | | no forbid-deciding-own-request
nor what an agent does for them | dora | access.approve | request for dora | | no forbid-deciding-own-request
the owner team approves a change of its target | dora | change.approve | change | | yes approver-decides-change
others do not | admin | change.approve | change | | no
nor who asked for it | dora | change.approve | change by dora | | no forbid-deciding-own-change
nor who it is about | dora | change.deny | change about dora | | no forbid-deciding-own-change
a workload approves no change | workload of payments | change.approve | change | | no
who asked applies it | ann | change.apply | change | | yes requester-applies-change
nobody else applies it | dora | change.apply | change | | no
not even the founder | founder | change.withdraw | change | | no
administrators propose policies | admin | policy.propose | installation | | yes rules-are-proposed
others do not | dora | policy.propose | installation | | no
policies are changed under approval | guard | policy.activate | policy set | | yes rule-changes-are-approved
even by the founder | founder | policy.revert | policy set | | yes rule-changes-are-approved
but at first, alone | founder | policy.activate | policy set | bootstrap | yes founder-changes-rules-alone
a stranger does not ask for it | dora | policy.activate | policy set | | no
teams are changed under approval | admin | team.activate | team list | | yes rule-changes-are-approved
by nobody of another team | dora | team.activate | team list | | no
freezes are changed under approval | guard | calendar.revert | calendar | | yes rule-changes-are-approved
the catalog is changed under approval | founder | catalog.activate | catalog | | yes rule-changes-are-approved
by no workload | workload of payments | catalog.activate | catalog | | no
break-glass changes no policies | glass of administrators | policy.revert | policy set | | no forbid-break-glass-operations
a workload approves nothing | workload of payments | access.approve | request | | no
an agent approves nothing for an approver | agent of payments > dora | access.approve | request | | no
who owns the targets approves the purpose | dora | purpose.approve | purpose | | yes owner-team-approves-purpose
not who registered it | dora | purpose.approve | purpose of dora | | no forbid-approving-own-purpose
alone, the founder does | founder | purpose.approve | purpose of founder | bootstrap | yes founder-approves-purpose
but not once there are two | founder | purpose.approve | purpose of founder | | no forbid-approving-own-purpose
security revokes | guard | grant.revoke | grant | | yes guardians-stop
the owner team revokes | dora | grant.revoke | grant | | yes owner-team-stops
the subject revokes | ann | grant.revoke | grant | | yes subject-stops-own
the person behind an agent ends its session | ann | session.end | session of bot for ann | | yes subject-stops-own
a stranger does not | auditor | session.end | session | | no
a freeze does not hinder stopping | guard | identity.suspend | annRecord | freeze | yes guardians-stop
a stranger does not suspend | ann | identity.suspend | pipelineRecord | | no
the founder enrols | founder | identity.register | installation | | yes administrators-create-identities
a person does not | ann | identity.register | installation | | no
an administrator assigns an owner | admin | identity.assign-owner | pipelineRecord | | yes administrators-manage-identities
an administrator does not manage themselves | ann as administrator | identity.update | annRecord | | no
the owner team manages its workload | dora | identity.update | pipelineRecord | | yes owner-team-manages-its-machines
whom it is suggested to accepts | ann | identity.attest-owner | job suggested to ann | | yes suggested-owner-attests
nobody else does | admin | identity.attest-owner | job suggested to ann | | no
and not who suggested it | ann | identity.attest-owner | job suggested by ann | | no
a first credential | admin | token.issue | newcomer | | yes first-credential
one's own | ann | token.issue | annRecord | | yes own-credential
a workload does not renew itself | pipeline | token.issue | pipelineRecord | | no
a person adds a passkey | ann | passkey.add | annRecord | | yes own-passkey-is-added
nobody adds one to another | admin | passkey.add | annRecord | | no
a person removes their own passkey | ann | passkey.remove | passkey of ann | | yes own-passkey-is-removed
security removes a lost one | guard | passkey.remove | passkey of ann | | yes guardians-remove-passkeys
nobody else does | dora | passkey.remove | passkey of ann | | no
a step-up is its person's to read | ann | step-up.read | step-up of ann | | yes own-step-ups-are-read
and who asked reads it | bot | step-up.read | step-up of ann | | yes own-step-ups-are-read
nobody else, not even security | guard | step-up.read | step-up of ann | | no
another person's takes approval | admin | token.issue | annRecord | | yes credential-of-another-person
security does not take it alone | guard | token.issue | annRecord | | no
the owner team renews its workload's | dora | token.issue | pipelineRecord | | yes credential-of-a-machine
an issuer is trusted under approval | admin | trust-rule.create | pipelineRecord | | yes trust-is-approved
also by the owner team | dora | trust-rule.create | pipelineRecord | | yes trust-is-approved
not by a stranger | ann | trust-rule.create | pipelineRecord | | no
and never for a person | admin | trust-rule.create | annRecord | | no
at first the founder does it alone | founder | trust-rule.create | pipelineRecord | bootstrap | yes founder-trusts-alone
an identity provider enters people | directory | scim-user.create | provider | | yes providers-provision
and stops them | directory | scim-user.change | provider | | yes providers-provision
not without an owner who accepted | directory half-owned | scim-user.create | provider | | no
not where nobody registered it | directory | scim-user.create | unregistered provider | | no
not while the founder is alone | directory | scim-user.create | provider | bootstrap | no
a pipeline is no identity provider | pipeline | scim-user.create | provider | | no
nor is the founder | founder | scim-group.change | provider | | no
a person who was here before is linked under approval | admin | provisioned-user.link | annRecord | | yes people-are-linked-with-approval
never a machine | admin | provisioned-user.link | pipelineRecord | | no
and not by the provider | directory | provisioned-user.link | annRecord | | no
a registered sender reports what ended | pipeline | lifecycle-event.report | report | | yes registered-senders-report-ends
and in the name of nobody else | directory | lifecycle-event.report | report | | no
a workload posts for the source that names it | pipeline by token | source.deliver | source of pipeline | | yes sources-deliver
and for no other | device | source.deliver | source of pipeline | | no
nor does an administrator | admin | source.deliver | source of pipeline | | no
nobody posts where nobody is named | pipeline | source.deliver | source | | no
nor without an attested owner | pipeline half-owned | source.deliver | source of pipeline | | no
security revokes a vendor | guard | vendor.revoke | installation | | yes guardians-stop
an auditor does not | auditor | vendor.revoke | installation | | no
the owner team carries a case of its workload on | dora | case.advance | pipelineRecord | | yes owner-team-manages-its-machines
a stranger does not | ann | case.advance | pipelineRecord | | no
a workload gets a token of its own | pipeline | token.obtain | pipelineRecord | | yes identity-obtains-own-tokens
and of nobody else | pipeline | token.obtain | annRecord | | no
an agent gets one for a person | bot > ann | token.obtain | botRecord | | yes agent-obtains-tokens-for-a-person identity-obtains-own-tokens
a workload gets none for a person | pipeline > ann | token.obtain | pipelineRecord | | no
the owner team rotates a login | dora | rotation.start | account | | yes logins-are-rotated
security rotates a provisioner | guard | rotation.start-provisioner | prod | | yes logins-are-rotated
the owner team takes a secret into custody | dora | deposit.put | deposit | | yes deposits-are-put
a stranger puts none for another team | ann | deposit.put | deposit | | no
the owner team sees its secret | dora | deposit.reveal | deposit | | yes deposits-are-revealed
an administrator does not | admin | deposit.reveal | deposit | | no
nor does security | guard | deposit.reveal | deposit | | no
nor a workload of the owner team | workload of payments | deposit.reveal | deposit | | no
nor the founder | founder | deposit.reveal | deposit | | no
it leaves custody by two people | dora | deposit.export | deposit | | yes deposits-are-exported-by-two
security seals it to no key alone | guard | deposit.export | deposit | | no
security destroys it | guard | deposit.retire | deposit | | yes deposits-are-retired
a stranger does not destroy it | ann | deposit.retire | deposit | | no
a stranger rotates nothing | ann | rotation.start | account | | no
nor an auditor | auditor | rotation.schedule | account | | no
nor a workload of the owner team | workload of payments | rotation.start | account | | no
security accepts a finding | guard | finding.accept | finding | | yes security-accepts-findings
who owns it accepts it with security | ann | finding.accept | finding | | yes owners-accept-findings-with-security
and so does the owner team | dora | finding.accept | finding | | yes owners-accept-findings-with-security
security that answers for it does not accept it alone | guard | finding.accept | finding that guard answers for | | yes owners-accept-findings-with-security
nor what its own team owns | guard | finding.accept | finding of security | | yes owners-accept-findings-with-security
administrators accept no finding | admin | finding.accept | finding | | no
nor does a workload of the owner team | workload of payments | finding.accept | finding | | no
security ends an acceptance | guard | finding.reopen | finding | | yes guardians-stop
everybody reads findings | ann | finding.list | installation | | yes person-reads-records
security goes on with a rotation | guard | rotation.resume | rotation | | yes guardians-stop
a stranger does not | ann | rotation.resume | rotation | | no
the owner team backs out of one | dora | rotation.abort | rotation | | yes logins-are-rotated
a stranger does not back out | ann | rotation.abort | rotation | | no
the owner team hands in what it set by hand | dora | rotation.hand-in | rotation | | yes logins-are-rotated
security rotates many | guard | rotation.start-many | installation | | yes logins-are-rotated
a list of owners is accepted with security | ann | owner.attest | installation | | yes owners-accept-lists-with-security
at first the founder accepts one alone | founder | owner.attest | installation | bootstrap | yes founder-accepts-lists-alone
no workload accepts to be an owner | pipeline | owner.attest | installation | | no
ways to tier 0 are not for everybody | ann | path.list | installation | | no
auditors read them | auditor | path.reach | installation | | yes evidence-is-read-by-its-keepers
administrators say what is which identity | admin | inventory.link | annRecord | | yes administrators-register
nobody else does | ann | inventory.link | annRecord | | no
nor merges | dora | inventory.merge | pipelineRecord | | no
administrators adopt what was found | admin | inventory.adopt | installation | | yes administrators-register
others do not | dora | inventory.adopt | installation | | no
administrators approve tools of servers of tier 2 | admin | tool.approve | installation | tier 2 | yes tools-of-other-tiers-are-approved
of tier 1 with another of security | admin | tool.approve | installation | tier 1 | yes tools-of-strict-tiers-are-approved-by-two
the founder alone only at first | founder | tool.approve | installation | tier 1, bootstrap | yes founder-approves-tools-alone
a tool of no tier is approved by nobody | admin | tool.approve | installation | | no
nobody else approves a tool | ann | tool.approve | installation | tier 3 | no
administrators adopt by a rule | admin | adoption.start | installation | | yes administrators-register
others do not take it back | dora | adoption.undo | installation | | no
nor give back | dora | inventory.unadopt | pipelineRecord | | no
the owner team of one does not | dora | rotation.start-many | installation | | no
the owner team says who holds a copy | dora | consumer.declare | account | | yes logins-are-rotated
a stranger withdraws nobody | ann | consumer.withdraw | account | | no
the owner team of a workload gives it a fixed secret | dora | local-secret.issue | pipelineRecord | | yes credential-of-a-machine
who owns the target gives none for the workload of others | ann | local-secret.issue | pipelineRecord | | no
an auditor certifies an account | auditor | account.certify | account in review | | yes accounts-are-certified
the owner team certifies one | dora | account.certify | account in review | | yes accounts-are-certified
but not who rotated it | dora | account.certify | account rotated by dora | | no forbid-certifying-what-one-rotated
nor one about which nobody said who did | dora | account.certify | account | | no
an administrator does not certify | admin | account.certify | account in review | | no
administrators register targets | admin | target.register | installation | | yes administrators-register
not anyone | dora | target.register | installation | | no
the owner team registers accounts | dora | account.register | prod | | yes owner-team-registers-accounts
a target is changed under approval | dora | target.update | prod | | yes target-changes-are-approved
even by the founder | founder | target.update | prod | | yes target-changes-are-approved
but at first, alone | founder | target.update | prod | bootstrap | yes founder-changes-targets-alone
a target lets more through under approval | dora | target.set-mode | prod | loosening | yes target-mode-is-loosened-with-approval
also for security, which does not ask for it | guard | target.set-mode | prod | loosening | no
security holds it more strictly | guard | target.set-mode | prod | tightening | yes target-mode-is-tightened
a stranger does neither | ann | target.set-mode | prod | tightening | no
the founder sets modes at first | founder | target.set-mode | prod | bootstrap | yes founder-sets-modes-alone
the owner team releases what is held | dora | hold.release | hold | | yes approver-releases
others do not release it | admin | hold.release | hold | | no
nor whose operation it is | dora | hold.release | hold of dora | | no forbid-releasing-own-operation
a registered enforcement point asks for others | pipeline | decision.evaluate | registered question | | yes enforcement-points-ask
one that is not registered does not | pipeline | decision.evaluate | question | | no
a person is none, whatever is listed | ann | decision.search-subjects | registered question | | no
nor an agent | bot | decision.search-subjects | registered question | | no
an administrator asks what others may do | admin | policy.explain | question | | yes administrators-ask-for-decisions
an administrator tries other policies | admin | policy.simulate | policy set | | yes guardians-examine-policies
security does | guard | policy.simulate | policy set | | yes guardians-examine-policies
a person does not | ann | policy.simulate | policy set | | no
a registered sender reports | pipeline | signal.receive | signal of pipeline | | yes registered-senders-report
and withdraws its own | pipeline | signal.withdraw | signal of pipeline | | yes registered-senders-report
and not what others reported | pipeline | signal.withdraw | signal | | no
one that is not registered does not | device | signal.receive | signal | | no
nor one with a bare token | pipeline by token | signal.receive | signal of pipeline | | no
nor one that nobody accepted to answer for | pipeline half-owned | signal.receive | signal of pipeline | | no
nor a person | dora | signal.receive | signal | | no
nor an administrator | admin | signal.receive | signal | | no
security reports | guard | signal.receive | signal | | yes security-reports
and withdraws what others reported | guard | signal.withdraw | signal | | yes security-reports
but not of itself | guard | signal.withdraw | signal about guard | | no
who it is about does not withdraw it | ann | signal.withdraw | signal | | no
break-glass administers nothing | glass of administrators | identity.register | installation | | no forbid-break-glass-operations
break-glass asks | glass | access.request | prod | | yes anyone-asks`
