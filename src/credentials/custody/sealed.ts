/** A column whose values are sealed under the root key, and the SQL of the place that each is bound to. */
export type SealedColumn = { readonly table: string; readonly column: string; readonly place: string }

/** Every column under the root key. A test holds the list against the schema, so that a new one is not forgotten. */
export const SEALED_COLUMNS: readonly SealedColumn[] = [
  byId('account', 'sealed_credential'),
  {
    table: 'backchannel_request',
    column: 'sealed_notice',
    place: `'backchannel_request.sealed_notice:' || encode(auth_req_sha256, 'hex')`,
  },
  byId('change', 'sealed_input'),
  {
    table: 'deposit_version',
    column: 'sealed_value',
    place: `'deposit_version.sealed_value:' || id || ':' || deposit_id || ':' || number`,
  },
  byId('fingerprint_key', 'sealed_key'),
  { table: 'idempotency', column: 'sealed_body', place: `'idempotency.sealed_body:' || caller_id || ':' || key` },
  byId('lease', 'sealed_secret'),
  byId('ledger_log', 'sealed_key'),
  {
    table: 'login_attempt',
    column: 'sealed_checks',
    place: `'login_attempt.sealed_checks:' || encode(state_sha256, 'hex')`,
  },
  byId('login_session', 'sealed_id_token'),
  byId('rotation', 'sealed_next'),
  byId('rotation', 'sealed_previous'),
  byId('rotation_way', 'sealed_key'),
  byId('session', 'sealed_key'),
  byId('signing_key', 'sealed_key'),
  byId('source', 'sealed_credential'),
  byId('spiffe_authority', 'sealed_key'),
  byId('ssh_authority', 'sealed_seed'),
  byId('step_up', 'sealed_code'),
  { table: 'subject_key', column: 'sealed_key', place: `'subject_key:' || subject_id` },
  byId('target', 'sealed_provisioner'),
  byId('trust_rule', 'sealed_reviewer'),
]

/** Columns that begin with `sealed` and are under another key than the root key. */
export const UNDER_OTHER_KEYS: Readonly<Record<string, string>> = {
  'ledger_private.sealed': 'is under the key of its subject, which is under the root key',
}

/** Logins whose sealed form a rotation remembers, to see whether somebody replaced them meanwhile. */
export const REMEMBERED: ReadonlySet<string> = new Set(['account.sealed_credential', 'target.sealed_provisioner'])

function byId(table: string, column: string): SealedColumn {
  return { table, column, place: `'${table}.${column}:' || id` }
}
