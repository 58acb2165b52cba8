/** What can be said of a match without asking anybody. */
type Validity =
  /** It has the form, and the form says no more. */
  | 'well-formed'
  /** A checksum inside it holds, or its structure was read to the end. */
  | 'verified-offline'
  /** Its own expiry is over. */
  | 'expired'
  /** It is under a passphrase, which was not tried. */
  | 'encrypted'

export type Verdict = { readonly validity: Validity; readonly detail?: string }

export const WELL_FORMED: Verdict = { validity: 'well-formed' }
export const verified = (detail?: string): Verdict => ({
  validity: 'verified-offline',
  ...(detail !== undefined && { detail }),
})
