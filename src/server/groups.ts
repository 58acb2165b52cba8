import type { Log } from '../kernel/log.ts'
import { every } from '../kernel/timer.ts'
import { refeed } from '../policy/policy.ts'

/** Joins and leaves are pushed; this is for the push that did not arrive. */
const LOOK_EVERY_MS = 2_000
/** What is said on the ends' channel when somebody joined or left a group. */
export const GROUPS_HINT = 'groups:changed'

type Fed = AsyncDisposable & { heard(hint: string | undefined): void }

/** Keeps the teams of this node at who is in the groups that they follow. Grants are made by what their own transaction sees. */
export function followGroups(
  feed: Parameters<typeof refeed>[0],
  kind: Parameters<typeof refeed>[1],
  { log, onTaken }: { readonly log: Log; readonly onTaken: () => void },
): Fed {
  let looking: Promise<void> | undefined
  let isAgain = false
  const look = async () => {
    do {
      isAgain = false
      if (await refeed(feed, kind)) onTaken()
    } while (isAgain)
  }
  const heard = (hint: string | undefined) => {
    if (hint !== undefined && hint !== GROUPS_HINT) return
    isAgain = true
    looking ??= look()
      .catch((error: unknown) =>
        log.warn({ err: error }, 'it could not be read who is in the groups that teams follow'),
      )
      .finally(() => {
        looking = undefined
      })
  }
  const timer = every(LOOK_EVERY_MS, () => heard(undefined))
  return {
    heard,
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await looking
    },
  }
}
