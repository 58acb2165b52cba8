import { MOST_BULK_BYTES, MOST_OPERATIONS } from './bulk.ts'
import { GROUPS, SCHEMA, SCHEMAS, USERS, type ResourceType } from './schema.ts'
import { DEFAULT_COUNT, MOST_COUNT } from './lists.ts'

const CONFIG = 'urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'
const TYPE = 'urn:ietf:params:scim:schemas:core:2.0:ResourceType'
const LIST = 'urn:ietf:params:scim:api:messages:2.0:ListResponse'

/** RFC 7644 §4: what this server can do, which resources it has and how they look. Undefined for what there is not. */
export function describe(origin: string, collection: string, id: string | undefined): unknown {
  const base = `${origin}/scim/v2`
  switch (collection) {
    case 'ServiceProviderConfig':
      return id === undefined ? serviceProvider(base) : undefined
    case 'ResourceTypes':
      return oneOrAll(
        [USERS, GROUPS].map((type) => resourceType(base, type)),
        id,
      )
    case 'Schemas':
      return oneOrAll(
        SCHEMAS.map((schema) => ({
          schemas: [SCHEMA],
          ...schema,
          meta: { resourceType: 'Schema', location: `${base}/Schemas/${schema.id}` },
        })),
        id,
      )
    default:
      return undefined
  }
}

function oneOrAll(all: readonly { readonly id: string }[], id: string | undefined): unknown {
  if (id !== undefined) return all.find((each) => each.id === id)
  return { schemas: [LIST], totalResults: all.length, startIndex: 1, itemsPerPage: all.length, Resources: all }
}

function resourceType(base: string, { name, endpoint, schema, extensions }: ResourceType) {
  return {
    schemas: [TYPE],
    id: name,
    name,
    endpoint,
    description: schema.description,
    schema: schema.id,
    schemaExtensions: extensions.map((each) => ({ schema: each.id, required: false })),
    meta: { resourceType: 'ResourceType', location: `${base}/ResourceTypes/${name}` },
  }
}

function serviceProvider(base: string): unknown {
  return {
    schemas: [CONFIG],
    patch: { supported: true },
    bulk: { supported: true, maxOperations: MOST_OPERATIONS, maxPayloadSize: MOST_BULK_BYTES },
    filter: { supported: true, maxResults: MOST_COUNT },
    changePassword: { supported: false },
    sort: { supported: true },
    etag: { supported: true },
    // RFC 9865 §4.
    pagination: {
      cursor: true,
      index: true,
      defaultPaginationMethod: 'index',
      defaultPageSize: DEFAULT_COUNT,
      maxPageSize: MOST_COUNT,
    },
    authenticationSchemes: [
      {
        type: 'oauthbearertoken',
        name: 'Bearer token',
        description: 'A token of the integration that stands for this provider.',
        specUri: 'https://www.rfc-editor.org/rfc/rfc6750',
        primary: true,
      },
    ],
    meta: { resourceType: 'ServiceProviderConfig', location: `${base}/ServiceProviderConfig` },
  }
}
