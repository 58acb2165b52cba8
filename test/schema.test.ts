import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { clientConfig } from '../src/kernel/db.ts'
import { freshDatabase } from './support/database.ts'

/** Tables whose rows are not changes of the record, and why. Every other table has a cause that a trigger holds. */
const WITHOUT_CAUSE: Readonly<Record<string, string>> = {
  ledger_entry: 'is the cause',
  ledger_segment: 'holds observations, which are entries themselves',
  ledger_log: 'is the tree over the entries',
  ledger_leaf: 'is the tree over the entries',
  ledger_pending: 'is a queue of entries',
  ledger_tile: 'is the tree over the entries',
  ledger_checkpoint: 'is the tree over the entries',
  ledger_cosignature: 'is the tree over the entries',
  ledger_writer: 'says who may place entries',
  ledger_private: 'belongs to the entry it names, written with it',
  subject_key: 'is destroyed without a trace of what it opened; the erasure is an entry',
  node: 'is a running process, not a change',
  passkey_ceremony: 'is a challenge that a browser was given, taken once',
  backchannel_request: 'says how a client fetches an answer; what it asks is a step-up, with an entry',
  used_proof: 'says that a proof was shown, for as long as anybody would take it',
  login_activity: 'says that somebody was there, to the half minute',
  login_cookie: 'is a value of a cookie; the login it stands for is the row with a cause',
  login_attempt: 'waits for a browser to come back; what comes of it is a login',
  device_authorization: 'waits for a person, who is not known yet; what comes of it is a login and a token',
  pushed_request: 'is what a client will ask for; what comes of it is a code, and a token',
  authorization_code: 'is on its way through a browser for a minute; what comes of it is a token',
  idempotency: 'repeats an answer that was given',
  fingerprint_key: 'is a key, made by the first node that needs one',
  root_key: 'says which key seals the rows, and changes none of them',
  reading_progress: 'says how far a reading is, page by page',
  inventory_stage: 'holds what a reading told so far, until its scope is closed by an entry',
  staged_page: 'holds what a reading told so far, until its scope is closed by an entry',
  inventory_told: 'holds what a reading told so far, until its scope is closed by an entry',
  inventory_block: 'says what the last complete reading told, so that the same is not looked at again',
  staged_principal: 'holds what a reading told so far, until its scope is closed by an entry',
  staged_credential: 'holds what a reading told so far, until its scope is closed by an entry',
  staged_resource: 'holds what a reading told so far, until its scope is closed by an entry',
  staged_grant: 'holds what a reading told so far, until its scope is closed by an entry',
  staged_trust: 'holds what a reading told so far, until its scope is closed by an entry',
  staged_reference: 'holds what a reading told so far, until its scope is closed by an entry',
  source_inbox: 'says how far what a source posts has come, and is in the inventory',
  delivery: 'waits until its scope is closed by an entry',
  grant_heartbeat: 'says that a holder is alive, every few seconds',
  review_risk: 'is weighed again and again, and what is decided is decided without it',
  identity_reach: 'is what was last looked at; what follows from it changes the identity, with an entry',
  escalation: 'is derived from what sources told and the record, and rebuilt as a whole',
  escalation_stage: 'holds what the last look at the graph came to, until it is told apart from the one before',
  graph_pass: 'says when the graph was last looked at',
  owner_candidate: 'is derived from evidence and gives nobody anything; accepting and declining are entries',
  service_candidate: 'is derived from evidence and gives nobody anything; accepting is an entry',
  foreign_domain_poll: 'says when a bundle was last asked for; another bundle is an entry',
  finding_pass: 'says what was last looked at; what follows from it is a finding, with an entry',
  schema_migration: 'is the bookkeeping of migrations',
  schema_migration_lock: 'is the bookkeeping of migrations',
  schema_checksum: 'is the bookkeeping of migrations',
}
/** Kysely makes these two and names nothing. */
const NOT_OURS = ['schema_migration', 'schema_migration_lock', 'schema_checksum']

const OURS = `c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> all ($1)`

type Rule = { readonly name: string; readonly sql: string; readonly plant: string }

/** Each rule lists what breaks it; `plant` is a change that must be caught. */
const RULES: readonly Rule[] = [
  {
    name: 'every table says what a row is',
    sql: `select c.relname as broken from pg_class c where ${OURS} and coalesce(obj_description(c.oid, 'pg_class'), '') !~ '^A row '`,
    plant: 'create table planted (id uuid primary key)',
  },
  {
    // A primary key may keep the name of its table: there is one, and it needs no other sentence.
    name: 'every rule is named after what it holds, not by PostgreSQL',
    sql: `select c.relname || '.' || k.conname as broken from pg_constraint k join pg_class c on c.oid = k.conrelid
           where ${OURS} and k.contype in ('c', 'f', 'u', 'x') and k.conparentid = 0
             and (k.conname like c.relname || '\\_%\\_fkey' or k.conname ~ '_(check|key|excl)\\d*$')`,
    plant: 'alter table target add check (name <> display_planted) , add column display_planted text',
  },
  {
    name: 'a foreign key is named so',
    sql: `select c.relname || '.' || k.conname as broken from pg_constraint k join pg_class c on c.oid = k.conrelid
           where ${OURS} and k.contype = 'f' and k.conparentid = 0 and k.conname !~ '_fkey$'`,
    plant: 'alter table target add column planted uuid constraint something references identity',
  },
  {
    name: 'every foreign key has an index that begins with its columns and covers every row that refers to something',
    sql: `select c.relname || '.' || k.conname as broken from pg_constraint k join pg_class c on c.oid = k.conrelid
           where ${OURS} and k.contype = 'f' and k.conparentid = 0
             and not exists (
               select from pg_index i
                where i.indrelid = k.conrelid
                  and (i.indpred is null or exists (
                    select from pg_attribute a
                     where a.attrelid = k.conrelid and k.conkey = array[a.attnum]
                       and pg_get_expr(i.indpred, i.indrelid) = '(' || quote_ident(a.attname) || ' IS NOT NULL)'))
                  and (i.indkey::smallint[])[0:array_length(k.conkey, 1) - 1] @> k.conkey)`,
    plant: 'alter table target add column planted uuid constraint planted_fkey references identity',
  },
  {
    name: 'an instant has a zone',
    sql: `select c.relname || '.' || a.attname as broken from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
           where ${OURS} and format_type(a.atttypid, null) in ('timestamp without time zone', 'time without time zone', 'date')`,
    plant: 'alter table target add column planted_at timestamp',
  },
  {
    name: 'an instant is named as one',
    sql: `select c.relname || '.' || a.attname as broken from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
           where ${OURS} and format_type(a.atttypid, null) = 'timestamp with time zone' and a.attname !~ '(_at|_by|_before|^at)$'`,
    plant: 'alter table target add column planted timestamptz',
  },
  {
    name: 'text has no length and hashes no encoding',
    sql: `select c.relname || '.' || a.attname as broken from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
           where ${OURS} and (format_type(a.atttypid, null) in ('character varying', 'character', 'json', 'money')
              or (a.attname ~ '_sha256$' and format_type(a.atttypid, null) <> 'bytea'))`,
    plant: 'alter table target add column planted_sha256 text',
  },
  {
    name: 'every table has a primary key',
    sql: `select c.relname as broken from pg_class c
           where ${OURS} and not exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'p')`,
    plant: `create table planted (id uuid); comment on table planted is 'A row is planted.'`,
  },
]

/** The triggers that hold a cause, exactly as hold_cause() makes them, or hold_causes() for what is written in bulk, and switched on. */
const CAUSE = `
  select c.relname as broken from pg_class c
   where ${OURS} and c.relname <> all ($2)
     and not (
       exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'cause' and a.attnotnull)
       and (
         exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'f' and k.confrelid = 'ledger_entry'::regclass
                   and k.conkey = array[(select a.attnum from pg_attribute a where a.attrelid = c.oid and a.attname = 'cause')])
         and exists (select from pg_trigger g where g.tgrelid = c.oid and g.tgfoid = 'require_cause()'::regprocedure and g.tgenabled = 'O'
                       and g.tgtype = (1 | 2 | 4 | 16) and g.tgqual is null)
         or 2 = (select count(*) from pg_trigger g where g.tgrelid = c.oid and g.tgfoid = 'require_causes()'::regprocedure and g.tgenabled = 'O'
                   and g.tgtype in (4, 16) and g.tgattr = '' and g.tgnewtable = 'changed' and g.tgqual is null))
       and 2 = (select count(*) from pg_trigger g where g.tgrelid = c.oid and g.tgfoid = 'refuse_change()'::regprocedure and g.tgenabled = 'O'
                   and g.tgtype in (1 | 2 | 8, 2 | 32)))`

let client: pg.Client
const closing: (() => Promise<void>)[] = []

before(async () => {
  const { owner } = await freshDatabase({
    after(fn: () => Promise<void>) {
      closing.push(fn)
    },
  })
  client = new pg.Client(clientConfig(owner))
  await client.connect()
  closing.push(() => client.end())
})
after(async () => {
  for (const close of closing.toReversed()) await close()
})

async function broken(query: string, ...more: unknown[]): Promise<string[]> {
  const { rows } = await client.query<{ broken: string }>(query, [NOT_OURS, ...more])
  return rows.map((row) => row.broken)
}

/** What the query finds once `change` is made; the change is undone. */
async function brokenAfter(change: string, query: string, ...more: unknown[]): Promise<string[]> {
  await client.query('begin')
  try {
    await client.query(change)
    return await broken(query, ...more)
  } finally {
    await client.query('rollback')
  }
}

for (const { name, sql, plant } of RULES) {
  test(name, async () => {
    assert.deepEqual(await broken(sql), [])
    assert.equal((await brokenAfter(plant, sql)).length, 1, 'the planted violation was not seen')
  })
}

test('every table holds its cause by trigger, but for those listed with their reason', async () => {
  const listed = Object.keys(WITHOUT_CAUSE)
  const table = `create table planted (id uuid primary key, cause bigint not null constraint cause_fkey references ledger_entry)`

  assert.deepEqual(await broken(CAUSE, listed), [])
  for (const plant of [
    'create table planted (id uuid primary key)',
    table,
    `${table}; select hold_cause('planted'); alter table planted disable trigger cause_is_held`,
    `${table}; select hold_cause('planted'); drop trigger rows_are_kept on planted`,
    `${table}; select hold_cause('planted'); drop trigger cause_is_held on planted;
     create trigger cause_is_held before insert on planted for each row execute function require_cause()`,
    'drop trigger cause_is_held on access_grant',
    'drop trigger causes_are_held on observed_grant',
    'drop trigger causes_are_held_at_birth on observed_grant',
    'alter table observed_grant disable trigger causes_are_held',
    'alter table access_grant alter column cause drop not null',
  ]) {
    assert.equal((await brokenAfter(plant, CAUSE, listed)).length, 1, plant)
  }
  assert.deepEqual(await brokenAfter(`${table}; select hold_cause('planted')`, CAUSE, listed), [])
})

test('the list of tables without a cause names only tables there are', async () => {
  const { rows } = await client.query<{ name: string }>(
    `select c.relname as name from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`,
  )
  const known = new Set(rows.map(({ name }) => name))

  assert.ok(known.size > 20, `only ${known.size} tables were seen`)
  assert.deepEqual(
    Object.keys(WITHOUT_CAUSE).filter((name) => !known.has(name)),
    [],
  )
})
