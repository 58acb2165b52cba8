import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Secret } from './secret.ts'
import { encoded, signedHeaders } from './sigv4.ts'

// AWS's published suite of Signature Version 4, and the example of its documentation (IAM ListUsers).
const KEYS = { id: 'AKIDEXAMPLE', secret: new Secret('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY') }
const AT = new Date('2015-08-30T12:36:00Z')

const signatureOf = (headers: Record<string, string>) => headers['authorization']?.split('Signature=')[1]

const sign = (
  method: 'GET' | 'POST',
  path: string,
  more: { headers?: Record<string, string>; body?: string; service?: string; host?: string; token?: string } = {},
) =>
  signedHeaders(
    { ...KEYS, ...(more.token !== undefined && { sessionToken: new Secret(more.token) }) },
    {
      method,
      url: new URL(path, `https://${more.host ?? 'example.amazonaws.com'}`),
      headers: more.headers ?? {},
      body: more.body ?? '',
      region: 'us-east-1',
      service: more.service ?? 'service',
      at: AT,
    },
  )

test('requests are signed as AWS’s published examples are', () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const cases: [name: string, signature: string | undefined, expected: string][] = [
    ['get-vanilla', signatureOf(sign('GET', '/')), '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    [
      'post-vanilla',
      signatureOf(sign('POST', '/')),
      '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
    ],
    [
      'get-vanilla-query-order-key-case',
      signatureOf(sign('GET', '/?Param2=value2&Param1=value1')),
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
    [
      'post-x-www-form-urlencoded',
      signatureOf(sign('POST', '/', { headers: form, body: 'Param1=value1' })),
      'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
    ],
    [
      'IAM ListUsers',
      signatureOf(
        sign('GET', '/?Action=ListUsers&Version=2010-05-08', {
          headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
          service: 'iam',
          host: 'iam.amazonaws.com',
        }),
      ),
      '5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7',
    ],
  ]
  for (const [name, signature, expected] of cases) assert.equal(signature, expected, name)
})

test('the token of a session is signed with it, and the secret is nowhere in what is sent', () => {
  const headers = sign('POST', '/', { token: 'a-session-token' })

  assert.equal(headers['x-amz-security-token'], 'a-session-token')
  assert.match(headers['authorization'] ?? '', /SignedHeaders=host;x-amz-date;x-amz-security-token/)
  assert.ok(!JSON.stringify(headers).includes('EXAMPLEKEY'))
})

test('whatever a text holds, it is encoded so that nothing of it is a delimiter', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      assert.match(encoded(text), /^([A-Za-z0-9._~-]|%[0-9A-F]{2})*$/)
      assert.equal(decodeURIComponent(encoded(text)), text)
    }),
  )
})
