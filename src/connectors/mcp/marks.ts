/**
 * What in a text of a server is meant for a model and not for a person. Words can be put in a thousand ways, so a text without marks is not a safe one;
 * hidden characters have no honest use in a description.
 */
const HIDDEN =
  // Zero-width and joiners at no emoji, direction overrides, the tag block, variation selectors of the supplement, ESC and other controls.
  // oxlint-disable-next-line no-control-regex, no-misleading-character-class -- these are what is looked for
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u{e0000}-\u{e007f}\u{e0100}-\u{e01ef}]/u

const MARKS: readonly { readonly mark: string; readonly pattern: RegExp }[] = [
  { mark: 'hidden-characters', pattern: HIDDEN },
  {
    mark: 'overrides-instructions',
    pattern:
      /\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:previous|prior|above|earlier|all|other|system)\b.{0,20}\b(?:instruction|prompt|rule|message|direction)/is,
  },
  {
    mark: 'speaks-as-the-system',
    pattern:
      /<\/?\s*(?:important|system|instructions?|secret|admin|assistant)\b[^>]{0,40}>|\[\/?(?:INST|SYSTEM)\]|<\|im_start\|>|^\s*system\s*:/im,
  },
  {
    mark: 'hides-from-the-person',
    pattern:
      /\b(?:do not|don't|never|without)\b.{0,30}\b(?:tell|telling|mention|mentioning|inform|informing|show|showing|notify|notifying|reveal|alert)\b.{0,40}\b(?:user|human|person|anyone|operator)/is,
  },
  {
    mark: 'commands-the-model',
    pattern:
      /\b(?:you must|always|be sure to|make sure to|before (?:using|calling|running|you))\b.{0,60}\b(?:call|invoke|read|send|pass|include|use|execute|run)\b.{0,80}\b(?:tool|file|contents?|conversation|history|parameter|argument|note)/is,
  },
  {
    mark: 'asks-for-secrets',
    pattern:
      /(?:~|\$HOME|\/home\/\w+|\/root)?\/?\.(?:ssh|aws|kube|gnupg|netrc|npmrc|pgpass|cursor|config\/gh)\b|\bid_(?:rsa|ed25519)\b|\/etc\/(?:passwd|shadow)|\bmcp\.json\b|(?:^|[\s"'`/])\.env\b/i,
  },
  {
    mark: 'sends-elsewhere',
    pattern: /\b(?:send|post|upload|forward|exfiltrate|copy|bcc)\b.{0,80}(?:https?:\/\/|\bto [\w.+-]+@[\w-]+\.)/is,
  },
]

/** Strings of one thing that are looked at, and how far each; what is longer is said to be. */
const TEXTS_MAX = 2_000
const TEXT_MAX = 20_000
const DEPTH_MAX = 32

/** Which marks stand anywhere in a value, in order; `unread` when it is larger than what is looked at. */
export function marksOf(value: unknown): string[] {
  const found = new Set<string>()
  let left = TEXTS_MAX
  const look = (inner: unknown, depth: number): void => {
    if (depth > DEPTH_MAX || left <= 0) return void found.add('unread')
    if (typeof inner === 'string') {
      left -= 1
      if (inner.length > TEXT_MAX) found.add('unread')
      const text = inner.slice(0, TEXT_MAX)
      for (const { mark, pattern } of MARKS) if (pattern.test(text)) found.add(mark)
    } else if (Array.isArray(inner)) for (const each of inner) look(each, depth + 1)
    else if (typeof inner === 'object' && inner !== null)
      for (const [key, each] of Object.entries(inner)) {
        look(key, depth + 1)
        look(each, depth + 1)
      }
  }
  look(value, 0)
  return [...found].sort()
}
