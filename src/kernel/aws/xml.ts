/** XML as the query APIs of AWS answer it: elements and text. Attributes are passed over, and what declares entities is not read. */

export type XmlElement = { readonly name: string; readonly text: string; readonly children: readonly XmlElement[] }

/** The text is no XML of this kind, or larger than any answer. */
export class NoXml extends Error {
  override readonly name = 'NoXml'
}

/** Answers of AWS are some ten deep. */
const DEPTH_MAX = 40
const ELEMENTS_MAX = 2_000_000
const NAME_MAX = 200

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const NAME = /^[\w.:-]+/

type Open = { readonly name: string; text: string; readonly children: XmlElement[] }

/** The root element. Throws `NoXml`. Looks at each character once or twice, whatever the text. */
export function readXml(text: string): XmlElement {
  const top: Open = { name: '', text: '', children: [] }
  const open: Open[] = [top]
  let elements = 0
  for (let at = 0; at < text.length;) {
    const here = open.at(-1) ?? top
    if (text[at] !== '<') {
      const end = text.indexOf('<', at)
      const until = end < 0 ? text.length : end
      here.text += unescaped(text.slice(at, until))
      at = until
    } else if (text.startsWith('<!--', at)) at = behind(text, '-->', at + 4)
    else if (text.startsWith('<?', at)) at = behind(text, '?>', at + 2)
    else if (text.startsWith('<![CDATA[', at)) {
      const end = behind(text, ']]>', at + 9)
      here.text += text.slice(at + 9, end - 3)
      at = end
    } else if (text.startsWith('</', at)) {
      const end = behind(text, '>', at + 2)
      if (open.length < 2 || text.slice(at + 2, end - 1).trim() !== here.name)
        throw new NoXml('an element does not end')
      close(open)
      at = end
    } else {
      elements += 1
      if (elements > ELEMENTS_MAX || open.length > DEPTH_MAX) throw new NoXml('it has more elements than any answer')
      const name = NAME.exec(text.slice(at + 1, at + 1 + NAME_MAX))?.[0]
      if (name === undefined) throw new NoXml('an element has no name')
      const end = endOfTag(text, at + 1 + name.length)
      open.push({ name, text: '', children: [] })
      if (text[end - 2] === '/') close(open)
      at = end
    }
  }
  const [root] = top.children
  if (open.length > 1 || top.children.length !== 1 || !root || top.text.trim() !== '')
    throw new NoXml('it is not whole')
  return root
}

function close(open: Open[]): void {
  const ended = open.pop()
  // What stands between elements is the layout.
  if (ended) open.at(-1)?.children.push(ended.children.length > 0 ? { ...ended, text: '' } : ended)
}

function behind(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from)
  if (at < 0) throw new NoXml('it is cut off')
  return at + mark.length
}

/** Behind the `>` of a tag; one inside a quoted attribute is none. */
function endOfTag(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    const character = text[at]
    if (character === '>') return at + 1
    if (character === '<') break
    if (character === '"' || character === "'") at = behind(text, character, at + 1) - 1
  }
  throw new NoXml('it is cut off')
}

/** XML 1.0 §4.6 and §4.1: the five that are always there, and characters by their number. Any other would have been declared. */
function unescaped(text: string): string {
  if (!text.includes('&')) return text
  return text.replaceAll(/&([^;&]{0,10});?/g, (whole, name: string) => {
    const known = ENTITIES[name]
    if (known !== undefined && whole.endsWith(';')) return known
    const digits = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(name)
    const code = digits?.[1] === undefined ? Number(digits?.[2] ?? Number.NaN) : Number.parseInt(digits[1], 16)
    if (!whole.endsWith(';') || !(code <= 0x10ffff)) throw new NoXml('it names an entity that nobody declared')
    return String.fromCodePoint(code)
  })
}

/** What stands at a path below an element; of several the first. */
export function xmlAt(element: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce((here, name) => here?.children.find((child) => child.name === name), element)
}

/** The text there; undefined where there is no such element, or an empty one. */
export function xmlText(element: XmlElement | undefined, ...path: readonly string[]): string | undefined {
  const text = xmlAt(element, ...path)?.text.trim()
  return text === '' ? undefined : text
}

/** The members of a list of AWS: `<Users><member>…</member></Users>`. */
export function xmlMembers(element: XmlElement | undefined, ...path: readonly string[]): readonly XmlElement[] {
  return xmlAt(element, ...path)?.children.filter(({ name }) => name === 'member') ?? []
}

/** Every element of that name, however deep, in the order of the text. */
export function xmlEvery(element: XmlElement, name: string): XmlElement[] {
  const found: XmlElement[] = []
  const left = [element]
  for (let next = left.pop(); next; next = left.pop()) {
    if (next.name === name) found.push(next)
    left.push(...next.children.toReversed())
  }
  return found
}
