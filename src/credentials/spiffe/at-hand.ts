import type { Db } from '../../kernel/db.ts'
import { soon, type Soon } from '../../kernel/soon.ts'
import type { Kind, View } from '../../kernel/view.ts'
import { pemOf } from '../../kernel/x509.ts'
import {
  mayStillSign,
  signingKey,
  signingRow,
  type SigningRow,
  type SpiffeKind,
  type SpiffeNeeds,
} from './authority.ts'
import { trustAnchors } from './bundle.ts'

/** The keys of the trust domain as this node remembers them; a hint tells of each change of any of them. */
export type KeysAtHand = {
  /** Makes the first keys, and turns them when their time has come. */
  signing(kind: SpiffeKind): Soon<SigningRow>
  /** The certificates that verifiers of X509-SVIDs trust, as PEM. */
  anchors(): Soon<string>
}

const hintsOf = () => ['spiffe-keys']

export function keysAtHand(db: Db, needs: SpiffeNeeds, view: View): KeysAtHand {
  const shelfOf = (kind: SpiffeKind) =>
    view.shelf<SigningRow>({ load: (from) => signingRow(from, needs, kind), hintsOf })
  const rows = { x509: shelfOf('x509'), jwt: shelfOf('jwt') }
  const anchors = view.shelf<{ readonly pem: string }>(ANCHORS)
  return {
    signing: (kind) =>
      soon(rows[kind].read(''), (row) => (row && mayStillSign(needs, row) ? row : signingKey(db, needs, kind))),
    anchors: () => soon(anchors.read(''), (found) => found?.pem ?? ''),
  }
}

const ANCHORS: Kind<{ readonly pem: string }> = {
  load: async (db) => ({ pem: (await trustAnchors(db)).map(pemOf).join('') }),
  hintsOf,
}
