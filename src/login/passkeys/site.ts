/** What passkeys are for: a name that browsers hold them to, and the one address their pages come from. */
export type Site = { readonly rpId: string; readonly origin: string }

/** By the one address of this installation. Passkeys are worth nothing at any other (WebAuthn Level 3 §13.4.9). */
export function siteOf(issuer: string): Site {
  const { hostname, origin } = new URL(issuer)
  return { rpId: hostname, origin }
}
