import type { StatementClass } from './class.ts'

// Settings decide how the server reads statements and who it takes us for, so the list says what is harmless and all else is not.
// Core 22: standard_conforming_strings and client_encoding are pinned; core 20: role and session_authorization are privilege.

const harmless = new Set(
  `application_name array_nulls bytea_output check_function_bodies client_connection_check_interval client_min_messages
   constraint_exclusion cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction datestyle
   default_statistics_target default_table_access_method default_tablespace default_text_search_config
   default_toast_compression default_transaction_deferrable default_transaction_isolation default_transaction_read_only
   effective_cache_size effective_io_concurrency enable_async_append enable_bitmapscan enable_distinct_reordering
   enable_gathermerge enable_group_by_reordering enable_hashagg enable_hashjoin enable_incremental_sort enable_indexonlyscan
   enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop enable_parallel_append
   enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate enable_partitionwise_join
   enable_presorted_aggregate enable_self_join_elimination enable_seqscan enable_sort enable_tidscan escape_string_warning
   exit_on_error extra_float_digits force_parallel_mode debug_parallel_query from_collapse_limit geqo geqo_effort
   geqo_generations geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold gin_fuzzy_search_limit
   gin_pending_list_limit hash_mem_multiplier idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit
   jit_above_cost jit_inline_above_cost jit_optimize_above_cost join_collapse_limit lc_monetary lc_numeric lc_time
   lock_timeout logical_decoding_work_mem maintenance_io_concurrency maintenance_work_mem max_parallel_maintenance_workers
   max_parallel_workers max_parallel_workers_per_gather min_parallel_index_scan_size min_parallel_table_scan_size
   parallel_leader_participation parallel_setup_cost parallel_tuple_cost plan_cache_mode quote_all_identifiers
   random_page_cost restrict_nonsystem_relation_kind recursive_worktable_factor row_security seed seq_page_cost statement_timeout stats_fetch_consistency
   synchronize_seqscans synchronous_commit tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval
   tcp_user_timeout temp_buffers temp_tablespaces timezone timezone_abbreviations trace_sort transaction_deferrable
   transaction_isolation transaction_read_only transaction_timeout vacuum_cost_delay vacuum_cost_limit
   vacuum_cost_page_dirty vacuum_cost_page_hit vacuum_cost_page_miss wal_sender_timeout work_mem xmlbinary xmloption`.split(
    /\s+/,
  ),
)

const settled: Readonly<Record<string, StatementClass>> = {
  role: 'privilege',
  session_authorization: 'privilege',
  local_preload_libraries: 'program-file',
  session_preload_libraries: 'program-file',
  dynamic_library_path: 'program-file',
}

/** The server compares the names of settings without regard to case (guc_name_compare). */
export function canonicalSetting(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/**
 * What setting `name` to `value` needs. An undefined value is a reset to what the session started with, which the gateway
 * itself chose; `null` is a value that cannot be known beforehand.
 */
export function classifySetting(name: string, value: string | null | undefined): StatementClass {
  const setting = canonicalSetting(name)
  if (setting === 'standard_conforming_strings') return value === undefined || isOn(value) ? 'session' : 'forbidden'
  if (setting === 'client_encoding') return value === undefined || isUtf8(value) ? 'session' : 'forbidden'
  if (setting === 'search_path') return value === undefined || keepsCatalogFirst(value) ? 'session' : 'schema'
  if (harmless.has(setting)) return 'session'
  const known = Object.hasOwn(settled, setting) ? settled[setting] : undefined
  if (known) return known
  // A name with a dot belongs to an extension or an application; row security policies often rest on one.
  return setting.includes('.') ? 'write' : 'superuser'
}

// parse_bool of the server takes any unique prefix.
function isOn(value: string | null): boolean {
  return value !== null && /^(on|t|tr|tru|true|y|ye|yes|1)$/i.test(value)
}

// pg_char_to_encoding drops everything but letters and digits.
function isUtf8(value: string | null): boolean {
  return value !== null && /^(utf8|unicode)$/i.test(value.replaceAll(/[^a-z0-9]/gi, ''))
}

/**
 * The allow-list of functions knows built-in names, which resolve to the catalog as long as nothing is searched before it. The
 * catalog is first unless the path names it later; temporary functions are never found without their schema.
 */
function keepsCatalogFirst(value: string | null): boolean {
  if (value === null) return false
  const schemas = value.split(',').map((part) => part.trim().replaceAll('"', '').toLowerCase())
  return schemas.lastIndexOf('pg_catalog') <= 0
}
