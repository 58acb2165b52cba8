/** What this release promises, sentence by sentence, each with the tests that hold it: `file: name of the test`. */
export type Requirement = {
  readonly id: string
  readonly sentence: string
  readonly heldBy: readonly string[]
}

const access = (name: string) => `src/access/${name}`
const postgres = (name: string) => `src/gateways/postgres/${name}`
const kernel = (name: string) => `src/kernel/${name}`
const ledger = (name: string) => `src/ledger/${name}`
const identities = (name: string) => `src/identities/${name}`
const credentials = (name: string) => `src/credentials/${name}`
const journey = (name: string) => `test/journeys/${name}`
const debian = (name: string) => `test/debian/cli-psql.test.ts: ${name}`

function requirement(id: string, sentence: string, ...heldBy: string[]): Requirement {
  return { id, sentence, heldBy }
}

export const requirements: readonly Requirement[] = [
  // 1. Foundation
  requirement(
    'foundation.package',
    'A packed tarball installs and starts elsewhere, also where an older Node stands.',
    'test/package.test.ts: an installed package starts, answers, and stops in order',
    'test/package.test.ts: under an older Node too, and the signal reaches the server',
    'test/lock.test.ts: the lock names the builds of every platform, so that npm ci accepts it everywhere',
  ),
  requirement(
    'foundation.guards',
    'Who may import whom, the schema’s rules and the derived files are held by tests that catch a planted violation.',
    'test/architecture.test.ts: the tree keeps to the table of who may import whom',
    'test/architecture.test.ts: planted: ${rule}',
    'test/schema.test.ts: every table holds its cause by trigger, but for those listed with their reason',
    'test/reference.test.ts: every derived file is what `npm run generate` would write',
  ),
  requirement(
    'foundation.config',
    'One file, variables and secrets from files; unknown keys are refused with the nearest known one.',
    kernel('config.test.ts: an unknown key, variable or flag is refused with the nearest known one'),
    kernel('config.test.ts: a secret comes from a file, prints nowhere and is never quoted'),
    journey(
      'operator.test.ts: a configuration is checked and printed: secrets say only that they are, a slip is named with the nearest key',
    ),
  ),
  requirement(
    'foundation.api',
    'An operation is a value; router, document, problems and commands derive from the list, and each is decided.',
    journey('operations.test.ts: no operation is missing here, and nothing is here that is none'),
    journey('operations.test.ts: ${operation.id} is done for who may, and the answer is what the document says'),
    journey('operations.test.ts: ${operation.id} is refused to who may not, with a problem that the document lists'),
    'src/cli/shape.test.ts: every operation is a command of its own, whose arguments all have a name and a kind',
  ),
  requirement(
    'foundation.closed',
    'Nothing is readable without a proof, and there is no default password.',
    journey(
      'operations.test.ts: without a token, or with one that is none, nothing answers but enrolment: the same 401 for all, whatever is asked about',
    ),
    kernel('http/server.test.ts: health is open, counts need a proof, documents are served'),
    kernel('http/server.test.ts: plain HTTP and old TLS find nobody'),
  ),
  requirement(
    'foundation.http',
    'Writes are idempotent by key, lists go by cursor, hosts and origins are checked, what gives out proofs is limited.',
    kernel('http/idempotency.test.ts: a repeat with the same Idempotency-Key gets the first answer and runs nothing'),
    kernel('http/server.test.ts: a cursor of another list is refused'),
    kernel('http/server.test.ts: a host that is not ours and a page of another origin are refused'),
    kernel('http/server.test.ts: what gives out proofs is limited far below the rest, and says when to come again'),
  ),
  requirement(
    'foundation.migrations',
    'Migrations are plain files with checksums; an external database is migrated by its owner, once.',
    kernel('migrate.test.ts: a migration that was edited after it had been applied is refused'),
    kernel('migrate.test.ts: the role the server runs as owns nothing and cannot remove or rewrite an entry'),
    journey(
      'operator.test.ts: an external database is migrated by its owner, once; until then the server says what to run',
    ),
  ),
  requirement(
    'foundation.embedded',
    'The embedded database opens to passwords on a socket only, outlives kills of anybody, and is shared by two nodes.',
    kernel('postgres/embedded.test.ts: a cold start makes a cluster that only passwords open, on a socket only'),
    kernel('postgres/embedded.test.ts: a postmaster that is killed comes back with what was committed'),
    kernel('postgres/embedded.test.ts: the next start adopts the postmaster of a node that was killed'),
    kernel('postgres/embedded.test.ts: two nodes that start cold at once share one cluster, and the last one stops it'),
  ),
  requirement(
    'foundation.stop',
    'A node stops in order, and readiness goes first.',
    kernel('stop.test.ts: components close in the reverse order of their start, after readiness went'),
    kernel('http/server.test.ts: closing lets a call in flight finish, ends streams and takes nobody new'),
  ),

  // 2. Ledger
  requirement(
    'ledger.cause',
    'A change is impossible without an entry of its own transaction.',
    ledger(
      'attack.test.ts: a change without an entry of its own transaction is refused, and no transaction can be forged',
    ),
    ledger('attack.test.ts: the server’s role can neither change nor remove what is in the ledger'),
  ),
  requirement(
    'ledger.sequence',
    'One sequencer places committed entries, each once, whatever is killed in between.',
    ledger('sequencer.test.ts: of two sequencers one signs, and the other goes on when its connection is lost'),
    ledger('sequencer.test.ts: an entry whose transaction commits long after later ones still gets its leaf'),
    ledger('crash.test.ts: a node killed between any two steps loses nothing acknowledged and places nothing twice'),
    ledger('appender.test.ts: an observation is durable when it is acknowledged, and many share a commit'),
  ),
  requirement(
    'ledger.standards',
    'Tree, tiles, notes, proofs and cosignatures are those of RFC 6962 and C2SP, and another implementation accepts them.',
    ledger('tree/tree.test.ts: the roots are those that public Certificate Transparency implementations publish'),
    ledger('tree/note.test.ts: the example note of the Go implementation verifies'),
    "test/interop/ledger-sumdb.interop.ts: Go's sumdb accepts checkpoint, proofs and tiles of a log of ${size}",
    ledger('reading.test.ts: a witness cosigns each checkpoint it can follow, and an export with its quorum verifies'),
  ),
  requirement(
    'ledger.verifier',
    'A separate program finds edit, reorder, deletion, truncation and fork, and says what it could not check.',
    'verifier/command.test.ts: the verifier imports nothing but Node itself and its own folder',
    'verifier/verify.test.ts: no line can be dropped, repeated or moved without being noticed',
    'verifier/verify.test.ts: a log cut back to an older checkpoint verifies alone and fails against a checkpoint kept from later',
    'verifier/verify.test.ts: a fork signed by the log itself fails against a checkpoint kept from the other branch',
    'verifier/verify.test.ts: an export whose entries are those that were signed verifies, and says that truncation and fork were not checked',
    journey(
      'command-line.test.ts: the ledger is exported and verified by the separate program; a second time against the checkpoint kept',
    ),
  ),
  requirement(
    'ledger.restore',
    'A restored database is not signed on; a new log starts and the loss is told.',
    ledger('sequencer.test.ts: a restored database is not signed on: a new log starts and the verifier tells the loss'),
  ),
  requirement(
    'ledger.personal',
    'Personal fields are commitments; erased, nothing opens and everything still verifies.',
    ledger(
      'reading.test.ts: personal fields are revealed with what opens them, and after an erasure nothing opens and all still verifies',
    ),
  ),

  // 3. Identities, catalog, decision, access
  requirement(
    'record.lifecycle',
    'All kinds share one record with a lifecycle; no walk of commands leaves the legal states.',
    identities('lifecycle.test.ts: no walk of commands leaves the legal states, and each refusal is a conflict'),
    identities('lifecycle.test.ts: the list is found by beginnings of words, filtered and paged without gaps'),
  ),
  requirement(
    'record.owner',
    'An owner is suggested with evidence and attested by who is named.',
    identities('ownership.test.ts: an owner is suggested with evidence and attested by the person who is named'),
    identities(
      'ownership.test.ts: attack: who suggests themselves as the owner does not attest it, once there is a second person',
    ),
  ),
  requirement(
    'record.enrolment',
    'The first link makes the founder once; tokens are hashed, bound, and over at their end.',
    identities('credentials.test.ts: attack: of many redemptions of one link at once, exactly one gets a token'),
    identities('credentials.test.ts: attack: what is stored and what is listed of a token does not hold it'),
    identities('bound-token.test.ts: a token that is bound to a key proves nothing without that key (RFC 8705 §3)'),
  ),
  requirement(
    'record.purpose',
    'A purpose is approved by somebody else, names targets and actions, and use outside it is refused.',
    'src/catalog/catalog.test.ts: attack: nobody approves a purpose they proposed, themselves or by a workload that is theirs',
    access(
      'access.test.ts: a purpose that does not cover the target or the action is refused, and the refusal is an entry',
    ),
  ),
  requirement(
    'record.decision',
    'Obligations of all permits that match are owed; nothing in production stands; each shipped policy decides a row.',
    'src/policy/decide.test.ts: obligations of the floor and of every determining permit join',
    'src/policy/obligations.test.ts: adding a permit never weakens a request that was already permitted',
    'src/policy/default-policies.test.ts: every shipped policy decides a row of these tables, says why, and raises no warning',
  ),
  requirement(
    'record.access',
    'No interleaving of approve, deny, revoke, expire and use finds a use without a live grant, a double use or a self-approval.',
    access(
      'interleavings.test.ts: no interleaving of approve, deny, withdraw, revoke, expire, use and release breaks a rule',
    ),
  ),
  requirement(
    'record.ending',
    'Done, expiry, revocation, suspension and a lost owner end a grant by one verb, and every node cuts.',
    access('ends.test.ts: a node hears of an end that any node commits, with its reason'),
    access('access.test.ts: when the person is suspended every task of theirs ends'),
    identities('ownership.test.ts: an owner who is lost is told to the hook, and is not lost twice'),
  ),

  // 4. PostgreSQL gateway, leases, sessions
  requirement(
    'gateway.contract',
    'A gateway that breaks a promise of the contract fails the story that all must pass.',
    'src/gateways/conformance.test.ts: a gateway that keeps its promises passes the story',
    'src/gateways/conformance.test.ts: a gateway that breaks a promise fails the chapter about it',
  ),
  requirement(
    'gateway.protocol',
    'The protocol is spoken whole: versions, TLS both ways, cancel, COPY, pipelines, notifications, backpressure.',
    postgres('hostile.test.ts: direct TLS needs the protocol’s name, and works with it'),
    postgres('hostile.test.ts: protocol versions and options beyond ours are negotiated as the server does'),
    postgres('clients.test.ts: a cancel request stops what runs and nothing else'),
    postgres('clients.test.ts: COPY goes both ways, whole, and its bytes are counted'),
    postgres('clients.test.ts: notifications reach only those whose grant covers listening'),
    postgres('clients.test.ts: a slow reader of much more than any buffer gets every row, and memory stays small'),
    postgres('hostile.test.ts: replication is refused'),
  ),
  requirement(
    'gateway.upstream',
    'Upstream TLS is as strict as libpq’s modes say, and a password goes to nobody who does not prove itself.',
    postgres('wire/connect.test.ts: every mode of TLS ends as libpq has it, on a server with TLS'),
    postgres('wire/connect.test.ts: no impostor gets the password'),
    postgres('wire/scram.test.ts: a client with the secret and a server with the verifier convince each other'),
  ),
  requirement(
    'gateway.unchanged',
    'psql, pgbench and pg_dump work with nothing installed.',
    debian('psql describes, lists and copies as it does anywhere'),
    debian('pgbench -c 8 -S runs unchanged, ${mode}'),
    debian(
      'pg_dump dumps what may be read, whole; in several jobs it also needs to write, since it exports a snapshot',
    ),
    debian(
      'plain psql with a ticket: verified in full it reads; by another CA, in plain text or with another ticket it gets nothing',
    ),
  ),
  requirement(
    'gateway.ticket',
    'A ticket has a short time to its first use, belongs to its first address, and is never asked for outside TLS.',
    access(
      'use.test.ts: a ticket is over when it was not used in time, and works on from its first use until the grant ends',
    ),
    access(
      'use.test.ts: a ticket that was stolen is worth nothing from another address, and the answer is that of a made-up one',
    ),
    postgres('hostile.test.ts: nobody is asked for a ticket outside TLS'),
    'src/gateways/host.test.ts: a grant for one use carries exactly one session, however many come at once',
  ),
  requirement(
    'gateway.run',
    'reeve run gives a command a certificate of its own, waits for approval, and ends the grant with it, killed or not.',
    journey(
      'run-command.test.ts: a command reaches production by a certificate of its own: no password, no token of its caller, and its exit code is passed on',
    ),
    journey('run-command.test.ts: it says for whom it waits, and goes on when one of them approves what was shown'),
    journey(
      'run-command.test.ts: killed outright, the grant ends by missed heartbeat, and the command that was left behind is cut and told',
    ),
  ),
  requirement(
    'lease.escapes',
    'An ephemeral role cannot outlive its grant: no escape leaves it alive, and what it made belongs to its group.',
    credentials('postgres/postgres.test.ts: what a session makes is born owned by the group'),
    credentials('postgres/postgres.test.ts: a role that changed its own password is shut out all the same'),
    credentials(
      'postgres/postgres.test.ts: a lease cannot become another by SET ROLE or SET SESSION AUTHORIZATION, nor pass its group on',
    ),
    credentials(
      'postgres/postgres.test.ts: sessions end with their lease: open cursors, advisory locks, running statements, and those that reconnect',
    ),
  ),
  requirement(
    'lease.dead',
    'A lease is an open obligation until it is proven dead; a target that is down keeps it open and shown.',
    credentials('obligations.test.ts: a lease whose end was proven by nothing stays open'),
    credentials(
      'obligations.test.ts: a target that is down leaves open obligations, all asked for by one connection, until it is back',
    ),
    journey('operator.test.ts: leases are listed with their state until they are proven dead'),
  ),
  requirement(
    'gateway.classes',
    'Statements are classified by the real grammar, and nothing is read differently by us and the server.',
    postgres('sql/analyse.test.ts: what is ${expected} is found to be so'),
    postgres('sql/lexer.test.ts: the literals taken out are those that the server’s own lexer finds'),
    postgres(
      'sql/read-functions.test.ts: every function that counts as reading is one that the embedded server does not call volatile',
    ),
  ),
  requirement(
    'gateway.refusal',
    'What a grant does not cover is refused with 42501 and what to request, and the transaction stays true.',
    journey('run-command.test.ts: what the grant does not cover is refused inside the command, with what to request'),
    debian('psql’s own transaction stays true over a refusal: what follows is ignored, and the commit rolls back'),
    postgres('clients.test.ts: a transaction that failed stays failed until it is rolled back'),
  ),
  requirement(
    'gateway.end',
    'At the end of a grant the client gets 57P01 and the reason, in whatever it was doing.',
    postgres('ends.test.ts: an idle session is cut with 57P01 and the reason, and its socket closes'),
    postgres('ends.test.ts: a session is cut in the middle of a query, which stops at the target'),
    postgres('ends.test.ts: a client that reads nothing in the middle of a huge row is cut all the same'),
  ),
  requirement(
    'sessions.recording',
    'What was done is recorded without its values, sealed by digests in the ledger, played, followed and verified.',
    'src/sessions/recording.test.ts: no value is in the file, in what is played or in the ledger; revealing it is an entry of its own',
    'src/sessions/recording.test.ts: an edit of a recording shows, also one that leaves its length as it was',
    'src/sessions/sessions.test.ts: following shows operations as they come and ends with the session',
    'src/sessions/sessions.test.ts: a recorder that fails ends the session, unless its target declares that sessions go on',
    journey(
      'operator.test.ts: a live session is listed, shown and ended; its client is told who cut it, and the recording says so',
    ),
  ),

  // 6. Bad input and faults
  requirement(
    'faults.wire',
    'Malformed, oversized, split and pipelined messages get a clear error, and the record stays true.',
    postgres('wire/walk.test.ts: any split of any sequence of messages gives the same events and the same bytes'),
    postgres('wire/walk.test.ts: garbage throws nothing but the typed error, at the same place however it is split'),
    postgres('hostile.test.ts: start-up bytes of any kind neither hang a connection nor harm the gateway'),
    postgres(
      'hostile.test.ts: messages of any kind, cut anywhere, leave the record in step with the server or end the session',
    ),
  ),
  requirement(
    'faults.target',
    'A target that is down, restarts, or is unknown is named plainly, and others learn nothing from it.',
    postgres('ends.test.ts: a target that is down is named, without its address or its lease'),
    postgres('ends.test.ts: a target that restarts under load ends its sessions, and new ones come as before'),
    'src/gateways/host.test.ts: a wrong ticket, another target and another account are refused in the same words',
  ),
  requirement(
    'faults.crash',
    'Killed between any two steps, nothing acknowledged is lost and no lease is forgotten.',
    ledger('crash.test.ts: a node killed between any two steps loses nothing acknowledged and places nothing twice'),
    credentials(
      'crash.test.ts: a process killed at ${point} leaves a lease that is ended, and the grant may have another',
    ),
    credentials('crash.test.ts: a process killed at ${point} leaves an obligation that another one meets'),
  ),
  requirement(
    'faults.clock',
    'Time is the database’s: a clock that jumps ends nothing early and revives nothing.',
    kernel(
      'database-clock.test.ts: a machine whose clock jumps ${where} is not near, and still says the time of the database',
    ),
    access('ends.test.ts: a deadline runs on this process’s own clock'),
  ),

  // 8. Documents
  requirement(
    'documents.true',
    'Pages link to what is there; each of the fourteen rules names its tests; each gateway and dependency has its line.',
    'test/docs.test.ts: every link between pages and into the tree resolves',
    'test/docs.test.ts: every rule names tests that exist, by their names',
    'test/docs.test.ts: every gateway has a page',
    'test/docs.test.ts: every dependency has its line, and no line is about one that is gone',
  ),
]

/** What no test can hold, since it is the outcome of a run: `npm run` its script. The demo exits 0 only when every proof holds. */
export const provenByRun = {
  'demo.proofs': 'demo',
  'bench.goals': 'bench',
} as const
