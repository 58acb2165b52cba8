/** Observations of which a source says little: what is not given is unknown, and nothing is made up. */
import { known, unknown, type Observation } from './observation.ts'

type Credential = Extract<Observation, { kind: 'credential' }>

/** A credential of which little is said: what is not given is unknown. */
export function credential(told: Pick<Credential, 'id' | 'type' | 'name'> & Partial<Credential>): Credential {
  return {
    kind: 'credential',
    principal: unknown('unsupported'),
    state: known('active'),
    createdAt: unknown('unsupported'),
    rotatedAt: unknown('unsupported'),
    expiresAt: unknown('unsupported'),
    fingerprints: unknown('unsupported'),
    scopes: unknown('unsupported'),
    bindings: unknown('unsupported'),
    strength: unknown('unsupported'),
    heldBy: unknown('unsupported'),
    ...told,
  }
}

type Grant = Extract<Observation, { kind: 'grant' }>

export function grant(told: Pick<Grant, 'id' | 'principal' | 'on' | 'privilege' | 'level'> & Partial<Grant>): Grant {
  return {
    kind: 'grant',
    grantable: known(told.level === 'admin'),
    grantedBy: unknown('unsupported'),
    expiresAt: known('never'),
    ...told,
  }
}

type Principal = Extract<Observation, { kind: 'principal' }>

export function principal(told: Pick<Principal, 'id' | 'type' | 'name'> & Partial<Principal>): Principal {
  return {
    kind: 'principal',
    state: unknown('unsupported'),
    createdAt: unknown('unsupported'),
    createdBy: unknown('unsupported'),
    interactive: unknown('unsupported'),
    environment: unknown('unsupported'),
    ...told,
  }
}

type Resource = Extract<Observation, { kind: 'resource' }>

export function resource(told: Pick<Resource, 'id' | 'type' | 'name'> & Partial<Resource>): Resource {
  return { kind: 'resource', environment: unknown('unsupported'), sensitivity: unknown('unsupported'), ...told }
}

/** That the source is this issuer of tokens, as it says itself. Things with `tokenSubjects` are who can get them. */
export function tokenIssuer(url: string): Resource {
  return resource({ id: { kind: 'token-issuer', id: url }, type: 'token-issuer', name: url })
}
