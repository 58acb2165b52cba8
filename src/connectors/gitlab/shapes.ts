/** What of GitLab's answers is read (REST API v4); fields that are not named here are not kept. */
import { z } from 'zod'

const id = z.int().min(0)
const text = z.string()
const when = z.string().nullish()

export const Group = z.object({ id, full_path: text, created_at: when })
export const Member = z.object({
  id,
  username: text,
  name: text.optional(),
  state: text.optional(),
  access_level: z.int(),
  expires_at: when,
})
export const Project = z.object({
  id,
  path_with_namespace: text,
  visibility: text.optional(),
  archived: z.boolean().optional(),
  default_branch: text.nullish(),
  ci_push_repository_for_job_token_allowed: z.boolean().nullish(),
  created_at: when,
})
export type Project = z.output<typeof Project>
export const AccessToken = z.object({
  id,
  name: text,
  user_id: id.optional(),
  scopes: z.array(text).optional(),
  active: z.boolean().optional(),
  revoked: z.boolean().optional(),
  created_at: when,
  expires_at: when,
  last_used_at: when,
})
export type AccessToken = z.output<typeof AccessToken>
export const DeployToken = z.object({
  id,
  name: text,
  username: text.optional(),
  scopes: z.array(text).optional(),
  revoked: z.boolean().optional(),
  expired: z.boolean().optional(),
  expires_at: when,
})
export const DeployKey = z.object({
  id,
  title: text.optional(),
  created_at: when,
  expires_at: when,
  fingerprint_sha256: text.nullish(),
  can_push: z.boolean().optional(),
})
export const Hook = z.object({
  id,
  url: text.optional(),
  created_at: when,
  enable_ssl_verification: z.boolean().optional(),
})
export const Variable = z.object({
  key: text,
  value: text.nullish(),
  protected: z.boolean().optional(),
  masked: z.boolean().optional(),
  environment_scope: text.optional(),
})
export type Variable = z.output<typeof Variable>
export const ProtectedBranch = z.object({
  name: text,
  allow_force_push: z.boolean().optional(),
  push_access_levels: z.array(z.object({ access_level: z.int().nullish() })).nullish(),
})
export const Environment = z.object({ id, name: text, state: text.optional() })
export const JobTokenScope = z.object({ inbound_enabled: z.boolean() })
export const Allowed = z.object({ id })
export const File = z.object({ content: text.optional() })
