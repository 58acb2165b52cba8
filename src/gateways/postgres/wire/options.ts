import { WireError, sqlState } from './wire-error.ts'

// The `options` start-up parameter is a command line. It is taken apart exactly as pg_split_opts and process_postgres_switches
// do, because a setting the gateway overlooked is one the server applies.

/** Splits at white space; a backslash takes the next character as it is. */
export function splitOptions(text: string): string[] {
  const words: string[] = []
  let at = 0
  while (at < text.length) {
    while (isSpace(text[at])) at++
    if (at >= text.length) break
    let word = ''
    let isEscaped = false
    for (; at < text.length; at++) {
      const character = text[at] ?? ''
      if (isSpace(character) && !isEscaped) break
      if (!isEscaped && character === '\\') {
        isEscaped = true
        continue
      }
      isEscaped = false
      word += character
    }
    words.push(word)
  }
  return words
}

/** The settings that `options` makes: `-c name=value`, `-cname=value`, `--name=value`. Any other switch is refused. */
export function readOptions(text: string): [name: string, value: string][] {
  const settings: [string, string][] = []
  const words = splitOptions(text)
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? ''
    let assignment: string
    if (word === '-c') {
      index++
      assignment = words[index] ?? ''
    } else if (word.startsWith('-c')) assignment = word.slice(2)
    else if (word.startsWith('--') && word.length > 2) assignment = word.slice(2)
    else throw refused(word)
    const equals = assignment.indexOf('=')
    if (equals <= 0) throw refused(word)
    // ParseLongOption: dashes in the name stand for underscores.
    settings.push([assignment.slice(0, equals).replaceAll('-', '_'), assignment.slice(equals + 1)])
  }
  return settings
}

// isspace() of the C locale, which is what the server runs at this point.
function isSpace(character: string | undefined): boolean {
  return character !== undefined && ' \t\n\v\f\r'.includes(character)
}

function refused(word: string): WireError {
  return new WireError(
    sqlState.featureNotSupported,
    `The start-up option "${word.slice(0, 64)}" is not accepted; only settings are, written -c name=value.`,
  )
}
