import { z } from 'zod'
import { Secret } from '../secret.ts'

const name = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/, 'use lower-case letters, digits, dots, dashes and underscores')
const path = z.string().min(1).max(4096)

const Provider = z
  .strictObject({
    name: name.describe('What it is called here: in addresses, entries and on the page where people choose.'),
    title: z.string().min(1).max(100).optional().describe('What people know it by.'),
    issuer: z
      .url({ protocol: /^https?$/ })
      .max(500)
      .describe('Its issuer, exactly as its tokens name it.'),
    clientId: z.string().min(1).max(500).describe('What Reeve is called there.'),
    clientSecretFile: path.optional().describe('File that holds the secret of that client.'),
    clientSecret: z
      .string()
      .min(1)
      .max(4096)
      .transform((value) => new Secret(value))
      .meta({ classification: 'secret' })
      .optional(),
    scopes: z.array(z.string().min(1).max(200)).min(1).max(20).default(['openid']),
    acrValues: z.array(z.string().min(1).max(200)).max(20).default([]).describe('What is asked of the login there.'),
    stepUpAcrValues: z
      .array(z.string().min(1).max(200))
      .max(20)
      .default([])
      .describe(
        'Which acr of it says that more than one factor was shown: a new login with one of them is a step-up of mfa.',
      ),
    algorithm: z
      .enum(['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'])
      .default('RS256')
      .describe('What its ID tokens are signed with.'),
    isPushed: z
      .boolean()
      .default(true)
      .describe(
        'Whether what is asked of it is pushed (RFC 9126) where it offers that, instead of sent by the browser.',
      ),
    isLeft: z
      .boolean()
      .default(true)
      .describe('Whether people who log out here are sent to its end_session_endpoint, where it has one.'),
  })
  .refine((provider) => !provider.clientSecret || !provider.clientSecretFile, 'give the secret or its file, not both')
  .refine((provider) => provider.scopes.includes('openid'), 'the scope openid is what makes it a login')

const Client = z.strictObject({
  id: z
    .string()
    .min(1)
    .max(100)
    .regex(/^[a-z0-9][a-z0-9._-]*$/),
  title: z.string().min(1).max(100),
  redirectUris: z.array(z.url().max(500)).min(1).max(20),
  postLogoutRedirectUris: z
    .array(z.url({ protocol: /^https?$|\./ }).max(500))
    .max(20)
    .default([]),
})

/** Logins of people. */
export const Login = z.strictObject({
  providers: z
    .array(Provider)
    .max(20)
    .default([])
    .describe('OpenID providers by which people log in: name, issuer, clientId, clientSecretFile, scopes, and more.'),
  clients: z
    .array(Client)
    .max(50)
    .default([])
    .describe(
      'Public clients that people log in to by a code and PKCE: id, title, redirectUris, postLogoutRedirectUris.',
    ),
  mustPush: z
    .boolean()
    .default(false)
    .describe('Whether these clients have to push what they ask for (RFC 9126) before they send a browser.'),
  sessionMinutes: z
    .number()
    .int()
    .min(5)
    .max(10_080)
    .default(720)
    .describe('How long a login lasts at most, with all tokens that came of it.'),
  idleMinutes: z.number().int().min(1).max(1440).default(60).describe('How long a login lasts that nobody uses.'),
})
