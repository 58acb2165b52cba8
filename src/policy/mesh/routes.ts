import type { MeshPrincipal, MeshRoute } from '../../kernel/config/mesh.ts'
import { plainHost, plainSegments } from './path.ts'

/** What a request does, in the words of an enforcement point. */
export type Act = {
  readonly action: string
  readonly resource: {
    readonly type: string
    readonly id: string
    readonly properties: Readonly<Record<string, string>>
  }
  readonly purpose: string | undefined
}
export type ActOf = (request: {
  readonly method: string
  readonly host: string
  readonly path: string
}) => Act | undefined

type Values = ReadonlyMap<string, string>
type Template = (values: Values) => string
type Segment =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'name' | 'rest'; readonly name: string }
type Compiled = {
  readonly route: MeshRoute
  readonly methods: ReadonlySet<string>
  readonly segments: readonly Segment[]
  readonly id: Template
  readonly properties: readonly (readonly [name: string, template: Template])[]
}

const OF_REQUEST = ['host', 'method', 'path']

/** Reads the routes that are configured; throws where one names what its path does not have. */
export function compileRoutes(routes: readonly MeshRoute[]): ActOf {
  const compiled = routes.map((route, at) => compile(route, `mesh.routes.${at}`))
  return ({ method, host, path }) => {
    const [name, parts] = [plainHost(host), plainSegments(path)]
    if (name === undefined || parts === undefined) return undefined
    for (const each of compiled) {
      if (!each.methods.has(method) || !each.route.hosts.some((pattern) => isHost(pattern, name))) continue
      const values = match(each.segments, parts)
      if (values === undefined) continue
      // A server that knows no capital letters would serve this: what only almost fits is refused, not left to a later route.
      if (values === 'almost') return undefined
      return actOf(each, new Map([...values, ['host', name], ['method', method], ['path', `/${parts.join('/')}`]]))
    }
    return undefined
  }
}

function compile(route: MeshRoute, place: string): Compiled {
  const segments = route.path
    .split('/')
    .filter((part) => part !== '')
    .map(segmentOf)
  const names = segments.flatMap((segment) => (segment.kind === 'text' ? [] : [segment.name]))
  const repeated = names.find((name, at) => names.indexOf(name) !== at || OF_REQUEST.includes(name))
  if (repeated !== undefined) throw new Error(`${place}.path: {${repeated}} has two meanings`)
  if (segments.slice(0, -1).some(({ kind }) => kind === 'rest'))
    throw new Error(`${place}.path: a rest stands at the end`)
  const known = new Set([...names, ...OF_REQUEST])
  return {
    route,
    methods: new Set(route.methods),
    segments,
    id: templateOf(route.resource.id, known, `${place}.resource.id`),
    properties: Object.entries(route.resource.properties).map(([name, text]) => [
      name,
      templateOf(text, known, `${place}.resource.properties.${name}`),
    ]),
  }
}

function segmentOf(part: string): Segment {
  const [, name, rest] = /^\{(\w+)(\*?)\}$/.exec(part) ?? []
  if (name === undefined) return { kind: 'text', text: part }
  return rest === '*' ? { kind: 'rest', name } : { kind: 'name', name }
}

/** Text with names in braces; throws for a name that is not known. */
function templateOf(text: string, known: ReadonlySet<string>, place: string): Template {
  const parts = text.split(/\{(\w+)\}/)
  const unknown = parts.find((part, at) => at % 2 === 1 && !known.has(part))
  if (unknown !== undefined) throw new Error(`${place}: there is no {${unknown}}`)
  return (values) => parts.map((part, at) => (at % 2 === 1 ? (values.get(part) ?? '') : part)).join('')
}

function isHost(pattern: string, host: string): boolean {
  if (pattern === '*') return true
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : pattern === host
}

/** The names of a path that fits; `almost` where it fits but for capital letters. */
function match(segments: readonly Segment[], parts: readonly string[]): [string, string][] | 'almost' | undefined {
  const hasRest = segments.at(-1)?.kind === 'rest'
  if (hasRest ? parts.length < segments.length : parts.length !== segments.length) return undefined
  let isAlmost = false
  const values: [string, string][] = []
  for (const [at, segment] of segments.entries()) {
    const part = parts[at] ?? ''
    if (segment.kind !== 'text') {
      values.push([segment.name, segment.kind === 'rest' ? parts.slice(at).join('/') : part])
    } else if (segment.text !== part) {
      if (folded(segment.text) !== folded(part)) return undefined
      isAlmost = true
    }
  }
  return isAlmost ? 'almost' : values
}

function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase()
}

function actOf({ route, id, properties }: Compiled, values: Values): Act {
  return {
    action: route.action,
    resource: {
      type: route.resource.type,
      id: id(values),
      properties: Object.fromEntries(properties.map(([name, template]) => [name, template(values)])),
    },
    purpose: route.purpose,
  }
}

/** Somebody as a certificate proves them. */
export type Proven = { readonly type: string; readonly id: string; readonly proof: 'spiffe' | 'mtls' }

/** Reads the rules of who a certificate proves; throws where one names what its principal does not have. */
export function compilePrincipals(rules: readonly MeshPrincipal[]): (principal: string) => Proven | undefined {
  const compiled = rules.map(({ principal, type, identity }, at) => {
    const parts = principal.split(/\{(\w+)\}/)
    const names = parts.filter((_, index) => index % 2 === 1)
    if (new Set(names).size < names.length)
      throw new Error(`mesh.principals.${at}.principal: a name stands there twice`)
    const pattern = parts.map((part, index) => (index % 2 === 1 ? '([A-Za-z0-9._-]{1,63})' : escaped(part))).join('')
    const template = templateOf(identity, new Set(names), `mesh.principals.${at}.identity`)
    return { pattern: new RegExp(`^${pattern}$`), names, type, template }
  })
  return (principal) => {
    for (const { pattern, names, type, template } of compiled) {
      const match = pattern.exec(principal)
      if (!match) continue
      const id = template(new Map(names.map((name, at) => [name, match[at + 1] ?? ''])))
      return { type, id, proof: principal.startsWith('spiffe://') ? 'spiffe' : 'mtls' }
    }
    return undefined
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}
