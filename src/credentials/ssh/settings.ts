import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

/** What `target.settings` holds for `ssh`: where the host listens, how it proves itself, and whether it reads revocations. */
export const SshSettings = z
  .strictObject({
    host: shown(z.string().min(1).max(253)),
    port: shown(z.int().min(1).max(65_535)).default(22),
    hostKeys: shown(z.array(z.string().min(1).max(2000)).min(1).max(10)).describe(
      'its public keys, as lines of /etc/ssh/ssh_host_*_key.pub',
    ),
    readsRevocations: shown(z.boolean())
      .default(false)
      .describe(
        'whether its sshd has our list of revoked certificates: without, one that was issued is good until it runs out',
      ),
  })
  .meta({ id: 'SshSettings', classification: 'public' })
export type SshSettings = z.output<typeof SshSettings>
