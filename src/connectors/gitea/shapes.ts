/** What of Gitea's answers is read (Gitea API 1, `swagger.v1.json`); fields that are not named here are not kept. */
import { z } from 'zod'

const id = z.int().min(0)
const text = z.string()
const when = z.string().nullish()

export const User = z.object({
  id,
  login: text,
  full_name: text.optional(),
  email: text.optional(),
  is_admin: z.boolean(),
  active: z.boolean().optional(),
  prohibit_login: z.boolean().optional(),
  restricted: z.boolean().optional(),
  created: when,
  last_login: when,
})
export type User = z.output<typeof User>

export const Organization = z
  .object({
    id,
    username: text.optional(),
    name: text.optional(),
    visibility: text.optional(),
  })
  .refine(({ username, name }) => (username ?? name ?? '') !== '', 'an organization has a name')
export type Organization = z.output<typeof Organization>

export const Team = z.object({
  id,
  name: text,
  permission: text.optional(),
  includes_all_repositories: z.boolean().optional(),
  can_create_org_repo: z.boolean().optional(),
  units_map: z.record(z.string(), z.string()).nullish(),
})
export type Team = z.output<typeof Team>

export const Repository = z.object({
  id,
  name: text,
  full_name: text,
  owner: z.object({ id, login: text }),
  private: z.boolean().optional(),
  archived: z.boolean().optional(),
  fork: z.boolean().optional(),
  mirror: z.boolean().optional(),
  template: z.boolean().optional(),
  empty: z.boolean().optional(),
  default_branch: text.optional(),
  created_at: when,
  has_actions: z.boolean().optional(),
})
export type Repository = z.output<typeof Repository>

export const Permission = z.object({ permission: text, role_name: text.optional() })

export const Key = z.object({
  id,
  key: text.optional(),
  title: text.optional(),
  fingerprint: text.optional(),
  created_at: when,
  last_used_at: when,
  read_only: z.boolean().optional(),
})

export const Hook = z.object({
  id,
  type: text.optional(),
  active: z.boolean().optional(),
  events: z.array(text).nullish(),
  config: z.record(z.string(), z.string()).nullish(),
  authorization_header: text.optional(),
  created_at: when,
})
export type Hook = z.output<typeof Hook>

export const ActionSecret = z.object({ name: text, created_at: when })
export const Variable = z.object({ name: text })

export const Token = z.object({
  id,
  name: text,
  scopes: z.array(text).nullish(),
  token_last_eight: text.optional(),
  created_at: when,
  last_used_at: when,
})

export const Application = z.object({
  id,
  name: text,
  client_id: text,
  redirect_uris: z.array(text).nullish(),
  confidential_client: z.boolean().optional(),
  created: when,
})

export const Protection = z.object({
  rule_name: text.optional(),
  branch_name: text.optional(),
  required_approvals: z.number().optional(),
  enable_push: z.boolean().optional(),
  enable_force_push: z.boolean().optional(),
  enable_status_check: z.boolean().optional(),
  dismiss_stale_approvals: z.boolean().optional(),
  require_signed_commits: z.boolean().optional(),
  push_whitelist_deploy_keys: z.boolean().optional(),
})

export const Entry = z.object({ name: text, path: text, type: text, size: z.number().optional() })
export const File = z.object({ content: text.nullish(), encoding: text.nullish() })
