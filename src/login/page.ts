import { sha256 } from '../kernel/crypto.ts'

/** Text that was made safe to stand in a page. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Part = string | number | Html | readonly Html[] | undefined

/** A piece of a page: whatever is put into it is text, unless it is a piece of a page itself. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const texts = parts.map((part) => {
    if (part === undefined) return ''
    if (part instanceof Html) return part.text
    return typeof part === 'object' ? part.map(({ text }) => text).join('') : escaped(String(part))
  })
  return new Html(strings.map((each, at) => each + (texts[at] ?? '')).join(''))
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (letter) => ENTITIES[letter] ?? '')
}

const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:34rem;margin:4rem auto;padding:0 1rem}
h1{font-size:1.4rem}label{display:block;margin:1rem 0}input{font:inherit;padding:.4rem;width:100%;box-sizing:border-box}
button,.act{font:inherit;display:inline-block;padding:.5rem 1rem;margin:.5rem .5rem 0 0;border:1px solid;border-radius:.3rem;text-decoration:none}
code,.code{font-family:ui-monospace,monospace}.code{font-size:1.4rem;letter-spacing:.1em}.warn{border-left:.3rem solid #b50;padding-left:1rem}`

const STYLE_SHA256 = sha256(STYLE).toString('base64')

/** A page of ours as it is sent. No script runs in it, whatever gets into it, and nobody frames it. */
export type SentPage = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a page may load: its one style and its one script by their hashes, and nothing else. */
function policyOf(scriptSha256?: string, formTo?: string): string {
  return [
    "default-src 'none'",
    `style-src 'sha256-${STYLE_SHA256}'`,
    ...(scriptSha256 === undefined ? [] : [`script-src 'sha256-${scriptSha256}'`, "connect-src 'self'"]),
    `form-action 'self'${formTo === undefined ? '' : ` ${formTo}`}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

/**
 * Renders one of the few pages that a person meets before there is a console. A `script` (a whole module of ours as text) is let in by its
 * hash; a page without one runs none. `formTo`: another place that the answer to its form leads to, as a source of CSP.
 */
export function page(
  title: string,
  body: Html,
  more: { readonly status?: number; readonly script?: string; readonly formTo?: string } = {},
): SentPage {
  const { status = 200, script, formTo } = more
  const run = script === undefined ? new Html('') : new Html(`<script type="module">${script}</script>`)
  const whole = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}</title>
        ${new Html(`<style>${STYLE}</style>`)}
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          ${body}
        </main>
        ${run}
      </body>
    </html>`
  return {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policyOf(script === undefined ? undefined : sha256(script).toString('base64'), formTo),
      'cross-origin-opener-policy': 'same-origin',
    },
    body: whole.text,
  }
}
