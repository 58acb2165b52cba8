// RFC 4013, as far as PostgreSQL goes with it (saslprep.c): a password that the profile forbids is used as it is.

/** RFC 3454 C.1.2: spaces that become an ordinary one. */
const spaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu
/** RFC 3454 B.1: mapped to nothing. */
const nothing = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu
/** RFC 3454 C.2 to C.9: controls, private use, non-characters, surrogates, unsuitable and tagging characters. */
const prohibited =
  /[\p{Cc}\p{Co}\p{Cs}\u0340\u0341\u06dd\u070f\u180e\u200e\u200f\u2028-\u202e\u2061-\u2063\u206a-\u206f\u2ff0-\u2ffb\ufdd0-\ufdef\ufff9-\uffff\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}]/u
const rightToLeft = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u
const leftToRight = /[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}]/u

/** The password as both sides hash it. */
export function prepareSecret(secret: string): string {
  if (!/[^\x20-\x7e]/.test(secret)) return secret
  const prepared = secret.replaceAll(spaces, ' ').replaceAll(nothing, '').normalize('NFKC')
  if (prepared === '' || prohibited.test(prepared)) return secret
  return rightToLeft.test(prepared) && !isOneDirection(prepared) ? secret : prepared
}

// RFC 3454 §6: right-to-left text has no left-to-right letters and starts and ends with its own.
function isOneDirection(text: string): boolean {
  const characters = Array.from(text)
  return !leftToRight.test(text) && rightToLeft.test(characters[0] ?? '') && rightToLeft.test(characters.at(-1) ?? '')
}
