import { z } from 'zod'

const FORMS: readonly RegExp[] = [
  /^unix:(uid|gid):(0|[1-9]\d{0,9})$/,
  /^unix:(user|group):[a-z_][a-z0-9_.-]{0,63}$/i,
  /^unix:path:\/[^\0\n]{1,1000}$/,
  /^unix:sha256:[0-9a-f]{64}$/,
  /^systemd:unit:[A-Za-z0-9:_.@\\-]{1,255}\.(service|scope)$/,
  /^k8s:pod-uid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
]

/** One thing that the kernel knows of a process, as a text that is compared whole: there are no patterns. */
export const Selector = z
  .string()
  .max(1100)
  .refine((text) => FORMS.some((form) => form.test(text)) && !/\/\.{0,2}(\/|$)/.test(text.replace(/^unix:path:/, '')), {
    error:
      'write unix:uid:N, unix:gid:N, unix:user:NAME, unix:group:NAME, unix:path:/FILE, unix:sha256:HEX, systemd:unit:NAME.service or k8s:pod-uid:UUID',
  })
