/** What of Airflow's answers is read (its API, version 2). What is not named here is not kept. */
import { z } from 'zod'

const Text = z.string().nullish()
const Name = z.string().min(1)

export const Connection = z.object({
  connection_id: Name,
  conn_type: Text,
  description: Text,
  host: Text,
  login: Text,
  schema: Text,
  port: z.number().nullish(),
  password: Text,
  extra: Text,
  team_name: Text,
})
export type Connection = z.output<typeof Connection>

export const Variable = z.object({ key: Name, value: Text, description: Text, team_name: Text })
export type Variable = z.output<typeof Variable>

export const Dag = z.object({
  dag_id: Name,
  dag_display_name: Text,
  description: Text,
  is_paused: z.boolean().nullish(),
  is_stale: z.boolean().nullish(),
  has_import_errors: z.boolean().nullish(),
  bundle_name: Text,
  relative_fileloc: Text,
  fileloc: Text,
  timetable_summary: Text,
  tags: z.array(z.object({ name: z.string() })).nullish(),
  owners: z.array(z.string()).nullish(),
})
export type Dag = z.output<typeof Dag>

export const DagDetails = z.object({ default_args: z.unknown(), params: z.unknown() })
export const DagSource = z.object({ content: Text })

export const ImportErrors = z.object({
  import_errors: z.array(z.object({ filename: Text })),
  total_entries: z.number().nullish(),
})

export const Run = z.object({
  dag_id: Name,
  dag_run_id: Name,
  start_date: Text,
  run_type: Text,
  triggering_user_name: Text,
})
export type Run = z.output<typeof Run>

export const TaskRun = z.object({
  dag_id: Name,
  dag_run_id: Name,
  task_id: Name,
  map_index: z.number().int(),
  start_date: Text,
  end_date: Text,
  state: Text,
})
export type TaskRun = z.output<typeof TaskRun>

export const Tasks = z.object({
  tasks: z.array(z.object({ task_id: z.string().nullish(), template_fields: z.array(z.string()).nullish() })),
})
/** Only one that is asked for by itself comes with what its fields were filled with. */
export const Rendered = z.object({ rendered_fields: z.record(z.string(), z.unknown()).nullish() })

export const LogEntry = z.object({
  event_log_id: z.number(),
  when: Name,
  event: z.string(),
  owner: Text,
  dag_id: Text,
  extra: Text,
})
export type LogEntry = z.output<typeof LogEntry>

/** Of the auth manager of Flask AppBuilder. */
export const User = z.object({
  username: Name,
  email: Text,
  first_name: Text,
  last_name: Text,
  active: z.boolean().nullish(),
  last_login: Text,
  created_on: Text,
  roles: z.array(z.object({ name: Name })).nullish(),
})
export type User = z.output<typeof User>

export const Role = z.object({
  name: Name,
  actions: z.array(z.object({ action: z.object({ name: z.string() }), resource: z.object({ name: Name }) })).nullish(),
})
export type Role = z.output<typeof Role>
