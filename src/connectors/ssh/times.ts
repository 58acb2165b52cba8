import { Instant } from '../../kernel/instant.ts'

/** RFC 3339, also with a zone without its colon, as some loggers write it. Undefined for what is no time. */
export function instantOf(text: string): Date | undefined {
  return Instant.safeDecode(text.replace(/([+-]\d\d)(\d\d)$/, '$1:$2')).data
}
