import { styleText } from 'node:util'

/** Prints the story and keeps what had to hold: the demo succeeds only when everything did. */
export class Evidence {
  readonly #broken: string[] = []
  #step = 0

  step(title: string): void {
    this.#step += 1
    console.log(`\n${styleText('bold', `${this.#step}. ${title}`)}`)
  }

  tell(text: string): void {
    console.log(`   ${text}`)
  }

  /** A fact that must hold; `shown` is its evidence. */
  prove(claim: string, holds: boolean, shown = ''): void {
    const mark = holds ? styleText('green', '✔') : styleText('red', '✘')
    console.log(`   ${mark} ${claim}${shown === '' ? '' : styleText('dim', `  ${shown}`)}`)
    if (!holds) this.#broken.push(claim)
  }

  /** 0 when every proof held. */
  conclude(): 0 | 1 {
    if (this.#broken.length === 0) {
      console.log(`\n${styleText('green', 'Every proof holds.')}`)
      return 0
    }
    console.log(`\n${styleText('red', 'These did not hold:')}`)
    for (const claim of this.#broken) console.log(`  - ${claim}`)
    return 1
  }
}

/** Milliseconds as people read them. */
export function ms(since: number, until: number = performance.now()): string {
  const passed = until - since
  return passed < 10 ? `${passed.toFixed(2)} ms` : `${Math.round(passed)} ms`
}
