/** What of GitHub's answers is read (REST API, version 2022-11-28); fields that are not named here are not kept. */
import { z } from 'zod'

const id = z.int().min(0)
const text = z.string()
const when = z.string().nullish()
const Rights = z.record(z.string(), z.string())

export const User = z.object({ id, login: text, type: text.optional(), site_admin: z.boolean().optional() })
export const Team = z.object({
  id,
  name: text,
  slug: text,
  permission: text.optional(),
  parent: z.object({ id }).nullish(),
})
export const Installation = z.object({
  id,
  app_id: id,
  app_slug: text,
  repository_selection: text.optional(),
  permissions: Rights,
  events: z.array(text).optional(),
  created_at: when,
  updated_at: when,
  suspended_at: when,
})
export const PersonalToken = z.object({
  id,
  token_id: id,
  token_name: text.optional(),
  owner: User,
  repository_selection: text.optional(),
  permissions: z.object({ organization: Rights.optional(), repository: Rights.optional(), other: Rights.optional() }),
  access_granted_at: when,
  token_expired: z.boolean().optional(),
  token_expires_at: when,
  token_last_used_at: when,
})
export const Repository = z.object({
  id,
  name: text,
  full_name: text,
  owner: z.object({ id, login: text }),
  private: z.boolean().optional(),
  visibility: text.optional(),
  archived: z.boolean().optional(),
  fork: z.boolean().optional(),
  default_branch: text.optional(),
  size: z.number().optional(),
  created_at: when,
})
export type Repository = z.output<typeof Repository>
export const Collaborator = User.extend({ role_name: text.optional() })
export const DeployKey = z.object({
  id,
  key: text,
  title: text.optional(),
  created_at: when,
  last_used: when,
  read_only: z.boolean().optional(),
  added_by: text.nullish(),
  enabled: z.boolean().optional(),
})
export const Hook = z.object({
  id,
  active: z.boolean().optional(),
  events: z.array(text).optional(),
  config: z.object({
    url: text.optional(),
    insecure_ssl: z.union([text, z.number()]).optional(),
    secret: text.optional(),
  }),
  created_at: when,
  updated_at: when,
})
export const Secret = z.object({ name: text, created_at: when, updated_at: when, visibility: text.optional() })
export const Environment = z.object({
  id,
  name: text,
  protection_rules: z.array(z.object({ type: text })).nullish(),
  deployment_branch_policy: z.object({ protected_branches: z.boolean() }).nullish(),
})
export const Entry = z.object({ name: text, path: text, type: text, size: z.number().optional() })
export const WorkflowRights = z.object({
  default_workflow_permissions: z.enum(['read', 'write']),
  can_approve_pull_request_reviews: z.boolean().default(false),
})
export const File = z.object({ content: text.optional() })
