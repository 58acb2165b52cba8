import type { StatementClass } from './class.ts'
import { readFunctions, recentReadFunctions } from './read-functions.gen.ts'

// A call is class read only for built-in functions that cannot write; the catalog's own list of those that are not volatile, and
// the volatile ones below that only look. Anything else may do anything its owner or the caller may.

const harmlessVolatile = new Set(
  `clock_timestamp current_query currval gen_random_uuid lastval pg_blocking_pids
   pg_collation_actual_version pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_size
   pg_get_wal_replay_pause_state pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused pg_jit_available
   pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status
   pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_prepared_xact pg_relation_size
   pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_sleep pg_sleep_for pg_sleep_until pg_stat_have_stats
   pg_table_size pg_tablespace_size pg_total_relation_size pg_xact_commit_timestamp pg_xact_status random timeofday
   txid_status`.split(/\s+/),
)
/** Built in after 15. */
const recentHarmlessVolatile = new Set(['array_sample', 'array_shuffle', 'random_normal', 'uuidv4', 'uuidv7'])

const filesOfTheServer =
  /^(pg_read_.*|pg_ls_.*|pg_stat_file|pg_file_.*|pg_logdir_ls|pg_current_logfile|pg_hba_file_rules|pg_ident_file_mappings|pg_show_all_file_settings|lo_import|lo_export)$/
const onlyWrites = /^(pg_(try_)?advisory_.*|pg_export_snapshot|pg_stat_clear_snapshot|pg_stat_get_xact_.*)$/
/** Functions that reach out of the database or into the cluster; `pg_` names that nobody listed are taken for such. */
const clusterWide = /^(pg_|binary_upgrade_|dblink)/

export type FunctionVerdict = {
  readonly class: StatementClass
  /** The oldest major version in which the name is built in; in an older one it may be anybody's function. */
  readonly sinceMajor: number
}

/** What calling a function needs. `path` is the name as parsed, schema first where there is one. `set_config` is not decided here. */
export function classifyFunction(path: readonly string[]): FunctionVerdict {
  const name = path.at(-1) ?? ''
  const isBuiltInName = path.length === 1 || (path.length === 2 && path[0] === 'pg_catalog')
  if (filesOfTheServer.test(name)) return { class: 'program-file', sinceMajor: 0 }
  if (name === 'pg_notify') return { class: 'listen', sinceMajor: 0 }
  if (isBuiltInName) {
    if (readFunctions.has(name)) return { class: 'read', sinceMajor: 0 }
    if (recentReadFunctions.has(name) || recentHarmlessVolatile.has(name)) return { class: 'read', sinceMajor: 18 }
    if (harmlessVolatile.has(name)) return { class: 'read', sinceMajor: 0 }
  }
  if (onlyWrites.test(name)) return { class: 'write', sinceMajor: 0 }
  return { class: clusterWide.test(name) ? 'superuser' : 'write', sinceMajor: 0 }
}
