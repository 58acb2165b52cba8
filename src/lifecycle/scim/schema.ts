/** RFC 7643: the resource types as this server keeps them. Nothing here gives a right: what policies see of a person is in the record. */

export const USER = 'urn:ietf:params:scim:schemas:core:2.0:User'
export const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'
export const GROUP = 'urn:ietf:params:scim:schemas:core:2.0:Group'
export const SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:Schema'

/** RFC 7643 §7, as it is served under /Schemas. */
export type Attribute = {
  readonly name: string
  readonly type: 'string' | 'boolean' | 'complex' | 'reference' | 'dateTime'
  readonly multiValued: boolean
  readonly description: string
  readonly required: boolean
  readonly caseExact: boolean
  readonly mutability: 'readOnly' | 'readWrite' | 'immutable'
  readonly returned: 'always' | 'default'
  readonly uniqueness: 'none' | 'server'
  readonly subAttributes?: readonly Attribute[]
  readonly referenceTypes?: readonly string[]
  readonly canonicalValues?: readonly string[]
}

export type Schema = {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly attributes: readonly Attribute[]
}

function attribute(name: string, description: string, more: Partial<Attribute> = {}): Attribute {
  return {
    name,
    type: 'string',
    multiValued: false,
    description,
    required: false,
    caseExact: false,
    mutability: 'readWrite',
    returned: 'default',
    uniqueness: 'none',
    ...more,
  }
}

/** RFC 7643 §2.4: what values of a list commonly have. */
function list(name: string, description: string, more: readonly Attribute[] = VALUE): Attribute {
  return attribute(name, description, { type: 'complex', multiValued: true, subAttributes: [...more, ...COMMON] })
}

const VALUE = [attribute('value', 'The value itself.')]
const COMMON = [
  attribute('display', 'How it is shown.'),
  attribute('type', 'What it is for, such as work.'),
  attribute('primary', 'Whether it is the preferred one.', { type: 'boolean' }),
]

const NAME = ['formatted', 'familyName', 'givenName', 'middleName', 'honorificPrefix', 'honorificSuffix'] as const
const ADDRESS = ['formatted', 'streetAddress', 'locality', 'region', 'postalCode', 'country'] as const

const userSchema: Schema = {
  id: USER,
  name: 'User',
  description: 'A person as an identity provider knows them.',
  attributes: [
    attribute('userName', 'The name of the person at the provider.', { required: true, uniqueness: 'server' }),
    attribute('name', 'The parts of the name.', {
      type: 'complex',
      subAttributes: NAME.map((part) => attribute(part, 'A part of the name.')),
    }),
    attribute('displayName', 'The name as it is shown.'),
    attribute('nickName', 'What they are called.'),
    attribute('profileUrl', 'A page about them.', { type: 'reference', referenceTypes: ['external'] }),
    attribute('title', 'Their role in the company; a change of it is a move.'),
    attribute('userType', 'How they are engaged.'),
    attribute('preferredLanguage', 'The language they prefer.'),
    attribute('locale', 'The place they format by.'),
    attribute('timezone', 'The time they live by.'),
    attribute('active', 'Whether they may act. False suspends at once.', { type: 'boolean' }),
    list('emails', 'Addresses. They link to nobody.'),
    list('phoneNumbers', 'Numbers.'),
    list(
      'addresses',
      'Places.',
      ADDRESS.map((part) => attribute(part, 'A part of the address.')),
    ),
    attribute('groups', 'The groups of this provider that they are in.', {
      type: 'complex',
      multiValued: true,
      mutability: 'readOnly',
      subAttributes: [
        attribute('value', 'The id of the group.', { mutability: 'readOnly' }),
        attribute('$ref', 'Where it is.', { type: 'reference', mutability: 'readOnly', referenceTypes: ['Group'] }),
        attribute('display', 'Its name.', { mutability: 'readOnly' }),
      ],
    }),
  ],
}

const enterpriseSchema: Schema = {
  id: ENTERPRISE,
  name: 'EnterpriseUser',
  description: 'Where a person stands in the company. A change is a move: what they answer for is attested again.',
  attributes: [
    ...['employeeNumber', 'costCenter', 'organization', 'division', 'department'].map((name) =>
      attribute(name, 'Of the company.'),
    ),
    attribute('manager', 'Who they report to.', {
      type: 'complex',
      subAttributes: [
        attribute('value', 'The id of the manager at this server.'),
        attribute('$ref', 'Where it is.', { type: 'reference', referenceTypes: ['User'] }),
        attribute('displayName', 'The name of the manager.', { mutability: 'readOnly' }),
      ],
    }),
  ],
}

const groupSchema: Schema = {
  id: GROUP,
  name: 'Group',
  description: 'A group of a provider. A team follows one only where a version of the teams that was approved says so.',
  attributes: [
    attribute('displayName', 'Its name.', { required: true }),
    attribute('members', 'Users of this provider.', {
      type: 'complex',
      multiValued: true,
      subAttributes: [
        attribute('value', 'The id of the user.', { mutability: 'immutable' }),
        attribute('$ref', 'Where it is.', { type: 'reference', mutability: 'immutable', referenceTypes: ['User'] }),
        attribute('type', 'User.', { mutability: 'immutable', canonicalValues: ['User'] }),
      ],
    }),
  ],
}

export const SCHEMAS = [userSchema, enterpriseSchema, groupSchema]

/** RFC 7643 §3.1: what every resource has, in no schema of its own. */
const SHARED: readonly Attribute[] = [
  attribute('id', 'Given by this server.', { caseExact: true, mutability: 'readOnly', returned: 'always' }),
  attribute('externalId', 'Given by the provider.', { caseExact: true }),
  attribute('meta', 'Of the resource itself.', {
    type: 'complex',
    mutability: 'readOnly',
    subAttributes: [
      attribute('resourceType', '', { caseExact: true, mutability: 'readOnly' }),
      attribute('created', '', { type: 'dateTime', mutability: 'readOnly' }),
      attribute('lastModified', '', { type: 'dateTime', mutability: 'readOnly' }),
      attribute('location', '', { type: 'reference', caseExact: true, mutability: 'readOnly' }),
      attribute('version', '', { caseExact: true, mutability: 'readOnly' }),
    ],
  }),
  attribute('schemas', '', { multiValued: true, caseExact: true, mutability: 'readOnly', returned: 'always' }),
]

/** A resource type: its own attributes, those all share, and its extensions. */
export type ResourceType = {
  readonly name: 'User' | 'Group'
  readonly endpoint: '/Users' | '/Groups'
  readonly schema: Schema
  readonly extensions: readonly Schema[]
  readonly attributes: readonly Attribute[]
}

export const USERS: ResourceType = {
  name: 'User',
  endpoint: '/Users',
  schema: userSchema,
  extensions: [enterpriseSchema],
  attributes: [...SHARED, ...userSchema.attributes],
}

export const GROUPS: ResourceType = {
  name: 'Group',
  endpoint: '/Groups',
  schema: groupSchema,
  extensions: [],
  attributes: [...SHARED, ...groupSchema.attributes],
}

/** RFC 7643 §2.1: names of attributes are compared without regard to case. */
export function named(attributes: readonly Attribute[] | undefined, name: string): Attribute | undefined {
  const folded = name.toLowerCase()
  return attributes?.find((each) => each.name.toLowerCase() === folded)
}
