import { z } from 'zod'

const word = z.string().min(1).max(256)
const NAMES_IN_BRACES = /^(?:[^{}]|\{[a-z][a-zA-Z0-9]*\})+$/
const template = z.string().min(1).max(512).regex(NAMES_IN_BRACES, 'braces hold a name, as in {order}')

const Route = z.strictObject({
  hosts: z
    .array(z.string().regex(/^(?:\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)$/, 'name a host, *.example.org, or *'))
    .min(1)
    .max(100)
    .describe('Hosts it is for, without ports; `*` for any.'),
  methods: z
    .array(z.string().regex(/^[A-Z]{1,20}$/, 'write methods in capital letters'))
    .min(1)
    .max(20)
    .describe('HTTP methods it is for.'),
  path: z
    .string()
    .max(512)
    .regex(/^\/(?:[^{}/%;\\?#\s]+|\{[a-z][a-zA-Z0-9]*\*?\})?(?:\/(?:[^{}/%;\\?#\s]+|\{[a-z][a-zA-Z0-9]*\*?\}))*$/, {
      message: 'write a path such as /orders/{order} or /static/{rest*}',
    })
    .describe('`{name}` is one segment, `{name*}` at the end all that follow.'),
  action: word.describe('As enforcement points call it.'),
  resource: z.strictObject({
    type: word,
    id: template.describe('Names of the path in braces; {host}, {method} and {path} are those of the request.'),
    properties: z.record(word, template).default({}),
  }),
  purpose: z.string().min(1).max(63).optional().describe('Name of the approved purpose it is done for.'),
})

const Principal = z.strictObject({
  principal: z
    .string()
    .max(512)
    .regex(NAMES_IN_BRACES, 'braces hold a name, as in {name}')
    .refine((text) => text.replaceAll(/\{[^}]*\}/g, '').length >= 8, 'say more of it than names in braces')
    .describe(
      'Of the peer’s certificate as the proxy has verified it, such as spiffe://example.org/ns/shop/sa/{name}.',
    ),
  type: z.enum(['workload', 'machine', 'agent', 'user']).default('workload'),
  identity: template.describe('Name of the identity in the record.'),
})

/** The door for proxies that ask before each request (Envoy’s ext_authz). */
export const Mesh = z.strictObject({
  enforcementPoint: z
    .string()
    .min(1)
    .max(63)
    .optional()
    .describe('Name of the machine or workload that the proxy is. Without one the door stays shut.'),
  host: z.string().min(1).max(253).default('127.0.0.1').describe('Address the door for proxies listens on.'),
  port: z.number().int().min(0).max(65_535).default(7350).describe('Port of the door for proxies; 0 takes a free one.'),
  plaintext: z.boolean().default(false).describe('Serve it without TLS. Accepted on a loopback address only.'),
  timeoutMs: z.number().int().min(10).max(10_000).default(1_000).describe('A check that takes longer is refused.'),
  principals: z
    .array(Principal)
    .max(1000)
    .default([])
    .describe('Which identity a certificate proves: the first that fits. What fits none proves nobody.'),
  routes: z
    .array(Route)
    .max(5000)
    .default([])
    .describe('What a request does to what, the first that fits. What fits none is refused.'),
})
export type MeshRoute = z.output<typeof Route>
export type MeshPrincipal = z.output<typeof Principal>
