import { isIP } from 'node:net'
import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { readKey } from './public-keys.ts'

// None of these may look like an option, or hold what a shell or ssh_config would read.
const Host = z
  .string()
  .max(253)
  .refine(
    (host) => isIP(host) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(host),
    'name a host or its address',
  )
const User = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/, 'name an account')
const Path = z.string().regex(/^\/[A-Za-z0-9._/@+-]{1,400}$/, 'name a file from the root on, in plain characters')
const HostKey = z
  .string()
  .max(2000)
  .refine((line) => readKey(line) !== undefined && !/[\r\n]/.test(line), 'write a line of /etc/ssh/ssh_host_*_key.pub')

/** What `source.settings` holds for `ssh`: a host, how it proves itself, and what of it is read. */
export const SshSourceSettings = z
  .strictObject({
    host: shown(Host),
    port: shown(z.int().min(1).max(65_535)).default(22),
    user: shown(User),
    hostKeys: shown(z.array(HostKey).min(1).max(10)).describe('its public keys; no other host is believed'),
    sudo: shown(z.boolean()).default(false).describe('whether to read as root by sudo, which must ask for no password'),
    sshdConfig: shown(Path).default('/etc/ssh/sshd_config'),
    certificateFolders: shown(z.array(Path).max(20)).default(['/etc/ssl/private', '/etc/pki', '/etc/letsencrypt/live']),
    log: shown(Path).optional().describe('the log of sshd with times in RFC 3339, such as /var/log/auth.log'),
  })
  .meta({ id: 'SshSourceSettings', classification: 'public' })
export type SshSourceSettings = z.output<typeof SshSourceSettings>

/** A private key without a passphrase, as ssh-keygen writes it. */
export const SshSourceCredential = z.strictObject({
  privateKey: z
    .string()
    .max(20_000)
    .refine((key) => key.trimStart().startsWith('-----BEGIN '), 'give the private key as ssh-keygen writes it'),
})
