/**
 * Things as they were told, as bytes to be hashed: whatever is told otherwise in a field that is kept has other bytes. Each field stands in its place
 * with its length, so neither names nor quotes are needed, and no text is made of it; a large estate is read through here on every day. What is not
 * as the contract has it is written as JSON instead.
 */
import { WhyUnknown } from '../../connectors/connector.ts'
import { isInstant } from '../../kernel/instant.ts'
import type { Bytes } from './bytes.ts'
import type { ToldObject } from '../rows.ts'

/** Changed when what is kept of an observation changes, or its bytes, so that everything is then kept anew. */
const VERSION = 2

/** What a thing begins with, behind the version. */
const [ODD, PRINCIPAL, CREDENTIAL, RESOURCE, GRANT, TRUST, REFERENCE] = [0, 1, 2, 3, 4, 5, 6]
/** What stands in the place of a value. */
const [ABSENT, PRESENT] = [0, 1]
const [NULL, FALSE, TRUE, NUMBER, TEXT, LIST] = [0, 1, 2, 3, 4, 5]
const [IS_ID, IS_FINGERPRINT, IS_ISSUER] = [1, 2, 3]
const [IN_TIME, NEVER] = [1, 2]

const WHYS: readonly unknown[] = WhyUnknown.options
const NOT_KNOWN = Symbol('not known')

type Fields = Readonly<Record<string, unknown>>

/** Writes things to bytes, one behind the other. */
export class ToldBytes {
  readonly #to: Bytes
  #isOdd = false

  constructor(to: Bytes) {
    this.#to = to
  }

  /** False for what has no text, and then nothing is written. */
  write(told: ToldObject): boolean {
    const begin = this.#to.end
    this.#isOdd = false
    this.#byte(VERSION)
    this.#fields(told)
    if (!this.#isOdd) return true
    this.#to.cut(begin)
    const text = oddText(told)
    if (text === undefined) return false
    this.#byte(VERSION)
    this.#byte(ODD)
    this.#text(text)
    return true
  }

  #fields(told: ToldObject): void {
    switch (told.kind) {
      case 'principal':
        return this.#principal(told)
      case 'credential':
        return this.#credential(told)
      case 'resource':
        return this.#resource(told)
      case 'grant':
        return this.#grant(told)
      case 'trust':
        return this.#trust(told)
      case 'reference':
        return this.#reference(told)
      default:
        this.#isOdd = true
    }
  }

  #principal(told: Of<'principal'>): void {
    this.#byte(PRINCIPAL)
    this.#id(told.id)
    this.#text(told.type)
    this.#text(told.name)
    this.#texts(told.aliases)
    this.#knownText(told.state)
    this.#knownDate(told.createdAt)
    this.#knownId(told.createdBy)
    this.#knownBoolean(told.interactive)
    this.#knownText(told.environment)
    this.#record(told.tags)
    this.#maybeId(told.instanceOf)
    this.#record(told.facts)
  }

  #credential(told: Of<'credential'>): void {
    this.#byte(CREDENTIAL)
    this.#id(told.id)
    this.#knownId(told.principal)
    this.#text(told.type)
    this.#text(told.name)
    this.#knownText(told.state)
    this.#knownDate(told.createdAt)
    this.#knownDate(told.rotatedAt)
    this.#knownDate(told.expiresAt)
    const fingerprints = this.#known(told.fingerprints)
    if (fingerprints !== NOT_KNOWN && this.#list(fingerprints)) for (const each of fingerprints) this.#fingerprint(each)
    this.#knownTexts(told.scopes)
    this.#knownTexts(told.bindings)
    this.#knownText(told.strength)
    this.#texts(told.strengthWhy)
    this.#knownText(told.heldBy)
    this.#record(told.facts)
  }

  #resource(told: Of<'resource'>): void {
    this.#byte(RESOURCE)
    this.#id(told.id)
    this.#text(told.type)
    this.#text(told.name)
    this.#maybeId(told.parent)
    this.#knownText(told.environment)
    const sensitivity = this.#known(told.sensitivity)
    if (sensitivity !== NOT_KNOWN) this.#number(sensitivity)
    this.#record(told.tags)
    this.#record(told.facts)
  }

  #grant(told: Of<'grant'>): void {
    this.#byte(GRANT)
    this.#id(told.id)
    this.#id(told.principal)
    this.#id(told.on)
    this.#text(told.privilege)
    this.#text(told.level)
    if (this.#hasList(told.via)) for (const each of told.via) this.#id(each)
    this.#knownBoolean(told.grantable)
    this.#knownId(told.grantedBy)
    this.#knownDate(told.expiresAt)
    this.#record(told.facts)
  }

  #trust(told: Of<'trust'>): void {
    this.#byte(TRUST)
    this.#id(told.id)
    const from: unknown = told.from
    if (isObject(from) && 'issuer' in from) this.#issuer(from)
    else {
      this.#byte(IS_ID)
      this.#id(from)
    }
    this.#id(told.to)
    this.#boolean(told.wildcard)
    this.#record(told.facts)
  }

  #reference(told: Of<'reference'>): void {
    this.#byte(REFERENCE)
    this.#id(told.id)
    this.#id(told.consumer)
    const credential: unknown = told.credential
    if (isObject(credential) && 'alg' in credential) {
      this.#byte(IS_FINGERPRINT)
      // With both it would be taken for an id.
      if ('id' in credential) this.#isOdd = true
      this.#fingerprint(credential)
    } else {
      this.#byte(IS_ID)
      this.#id(credential)
    }
    this.#text(told.how)
    this.#text(told.location)
    this.#text(told.evidence)
    this.#record(told.facts)
  }

  #issuer(from: Fields): void {
    this.#byte(IS_ISSUER)
    // With both it would be taken for an id.
    if ('id' in from) this.#isOdd = true
    this.#text(from['issuer'])
    if (from['claims'] === undefined) this.#isOdd = true
    this.#record(from['claims'])
  }

  #fingerprint(value: unknown): void {
    if (!isObject(value)) return this.#odd()
    this.#text(value['alg'])
    this.#maybeText(value['keyId'])
    this.#text(value['value'])
  }

  #id(value: unknown): void {
    if (!isObject(value)) return this.#odd()
    this.#text(value['kind'])
    this.#text(value['id'])
    this.#maybeText(value['authority'])
  }

  #maybeId(value: unknown): void {
    if (value === undefined) return this.#byte(ABSENT)
    this.#byte(PRESENT)
    this.#id(value)
  }

  /** The value, of which the certainty is written; or why there is none. */
  #known(told: unknown): unknown {
    if (isObject(told)) {
      if (told['known'] === true) {
        this.#byte(WHYS.length)
        return told['value']
      }
      const why = told['known'] === false ? WHYS.indexOf(told['why']) : -1
      if (why >= 0) this.#byte(why)
      else this.#isOdd = true
    } else this.#isOdd = true
    return NOT_KNOWN
  }

  #knownText(told: unknown): void {
    const value = this.#known(told)
    if (value !== NOT_KNOWN) this.#text(value)
  }

  #knownTexts(told: unknown): void {
    const value = this.#known(told)
    if (value === NOT_KNOWN) return
    if (value === undefined) this.#isOdd = true
    this.#texts(value)
  }

  #knownId(told: unknown): void {
    const value = this.#known(told)
    if (value !== NOT_KNOWN) this.#id(value)
  }

  #knownBoolean(told: unknown): void {
    const value = this.#known(told)
    if (value !== NOT_KNOWN) this.#boolean(value)
  }

  #knownDate(told: unknown): void {
    const value = this.#known(told)
    if (value === NOT_KNOWN) return
    if (value === 'never') return this.#byte(NEVER)
    if (!isInstant(value)) return this.#odd()
    this.#byte(IN_TIME)
    this.#number(value.getTime())
  }

  #boolean(value: unknown): void {
    if (value === true) this.#byte(TRUE)
    else if (value === false) this.#byte(FALSE)
    else this.#isOdd = true
  }

  /** Labels, facts or claims, of which not to be there is to be none; `for in` takes no list of names to be made. */
  #record(value: unknown): void {
    if (value === undefined) return this.#byte(ABSENT)
    if (!isObject(value) || !isPlain(value)) return this.#odd()
    for (const name in value) {
      this.#byte(PRESENT)
      this.#text(name)
      this.#fact(value[name])
    }
    this.#byte(ABSENT)
  }

  #fact(value: unknown): void {
    if (typeof value === 'string') {
      this.#byte(TEXT)
      this.#text(value)
    } else if (typeof value === 'number') {
      this.#byte(NUMBER)
      this.#number(value)
    } else if (typeof value === 'boolean') this.#boolean(value)
    else if (value === null) this.#byte(NULL)
    else {
      this.#byte(LIST)
      if (value === undefined) this.#isOdd = true
      this.#texts(value)
    }
  }

  #texts(value: unknown): void {
    if (this.#hasList(value)) for (const each of value) this.#text(each)
  }

  #hasList(value: unknown): value is readonly unknown[] {
    if (value !== undefined) {
      this.#byte(PRESENT)
      return this.#list(value)
    }
    this.#byte(ABSENT)
    return false
  }

  #list(value: unknown): value is readonly unknown[] {
    if (!Array.isArray(value)) {
      this.#isOdd = true
      return false
    }
    this.#to.size(value.length)
    return true
  }

  #maybeText(value: unknown): void {
    if (value === undefined) return this.#byte(ABSENT)
    this.#byte(PRESENT)
    this.#text(value)
  }

  #text(value: unknown): void {
    if (typeof value === 'string') this.#to.text(value)
    else this.#isOdd = true
  }

  #number(value: unknown): void {
    if (typeof value === 'number') this.#to.number(value)
    else this.#isOdd = true
  }

  #byte(value: number): void {
    this.#to.byte(value)
  }

  #odd(): void {
    this.#isOdd = true
  }
}

type Of<Kind extends ToldObject['kind']> = Extract<ToldObject, { kind: Kind }>

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isPlain(value: object): boolean {
  const of: unknown = Object.getPrototypeOf(value)
  return of === Object.prototype || of === null
}

/** JSON takes some values for others and leaves some out; here each has a text of its own, and a text begins with a sign that no other has. */
function oddText(told: ToldObject): string | undefined {
  try {
    return JSON.stringify(told, function (this: Fields, name) {
      const value = this[name]
      if (typeof value === 'string') return `=${value}`
      if (isInstant(value)) return `at ${value.getTime()}`
      if (typeof value === 'number') return Object.is(value, -0) ? 'number -0' : `number ${value}`
      if (typeof value === 'boolean' || value === null || Array.isArray(value)) return value
      if (typeof value !== 'object') return typeof value === 'bigint' ? `bigint ${value}` : typeof value
      if (!isPlain(value)) throw new TypeError('there is no text for what is of a class')
      return value
    })
  } catch {
    return undefined
  }
}
