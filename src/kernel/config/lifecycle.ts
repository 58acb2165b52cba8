import { z } from 'zod'

const name = z.string().min(1).max(63)

/** How identities come and go. */
export const Lifecycle = z.strictObject({
  providers: z
    .array(name)
    .max(100)
    .default([])
    .describe('Integrations, by name, that are identity providers: they enter and stop people by SCIM.'),
  senders: z
    .array(name)
    .max(1000)
    .default([])
    .describe('Machines and workloads, by name, that report what ended: forges, pipelines, ticket systems.'),
  webhooks: z
    .array(
      z.strictObject({
        sender: name.describe('One of the senders.'),
        secretFile: z.string().min(1).max(4096).describe('File that holds the secret its webhooks are signed with.'),
      }),
    )
    .max(100)
    .default([])
    .describe('Senders that sign webhooks in place of holding a token: sender, secretFile.'),
  soakDays: z
    .number()
    .int()
    .min(0)
    .max(365)
    .default(14)
    .describe('How long an identity stays suspended before it is retired for good.'),
})
