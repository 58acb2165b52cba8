/** A labelled corpus: files as projects have them, with secrets at known lines and what only looks like one everywhere else. Made from a seed. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { rules } from '../../../src/scanner/rules/rules.ts'
import { samples } from './all.ts'
import { maker, sampleOf, seeded, type Make } from './samples.ts'

export type Labelled = {
  readonly path: string
  readonly text: string
  /** Lines that hold a secret, and of which kind. */
  readonly secretLines: ReadonlyMap<number, string>
  /** What the rest of the file is made of, where that has a name. */
  readonly decoy: string | undefined
}

/** Nothing to hide, however it looks: each gives some lines. */
const DECOYS: Readonly<Record<string, (make: Make) => string>> = {
  uuid: (make) => `request_token_id: ${make('{uuid}')}\nsession = "${make('{uuid}')}"`,
  digest: (make) => `sha256: ${sha(make)}\nchecksum="${sha(make)}"\ntoken_hash = "${sha(make)}"`,
  commit: (make) => `uses: actions/checkout@${make('{h:40}')}\nrevision: ${make('{h:40}')}`,
  integrity: (make) => `"integrity": "sha512-${Buffer.from(make('{a:64}')).toString('base64')}",`,
  placeholder: () =>
    `password: changeme-please\napi_key = "your-api-key-here-1"\ntoken: <insert-token-42>\nsecret=xxxxxxxxxxxxxxxxxxx1`,
  reference: () =>
    `password: \${DB_PASSWORD}\nsecret = process.env.APP_SECRET_2\ntoken: {{ vault.orders_token_1 }}\napi_key: $API_KEY_2`,
  template: () =>
    `password = "%(db_password_1)s"\nurl = f"postgres://{user}:{password}@{host}/db"\nu = "mysql://app:\${PW}@db/x"`,
  words: () =>
    `secret_name: orders-database-password\ntokenPrefix = "session-token-value"\npassword_label: "New password"`,
  code: () =>
    `const token = parseToken(input.slice(4))\nif (password === other.password) return secretOf(key1)\ntoken = next(tokens2)`,
  address: (make) =>
    `token_url: https://login.internal/${make('{l:12}')}\nsecret_file = "/etc/orders/${make('{l:8}')}/secret"`,
  version: () => `token-version: 2024-11-05T10:11:12Z\napi_key_version = "v12.4.1-rc.3"`,
  'encoded text': () => `token: ${Buffer.from('this is only a plain sentence about nothing').toString('base64')}`,
  'public key': () => generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  documentation: () =>
    [
      'aws_access_key_id = AKIA',
      'IOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY',
      'EXAMPLEKEY',
    ].join(''),
  'wrong checksum': (make) => `seen: ghp_${make('{a:36}')}\nseen: npm_${make('{a:36}')}`,
  masked: () => `token: ghp_${'*'.repeat(36)}\npassword: "••••••••"\nkey: sk_live_${'x'.repeat(24)}`,
  hashed: (make) =>
    `password: $2b$12$${make('{a:53}')}\npassword_hash: "$argon2id$v=19$m=65536,t=3$${make('{b:22}')}$${make('{b:43}')}"`,
  styles: (make) =>
    `.token-a${make('{h:6}')} { color: #${make('{h:6}')}; }\n--secret-shadow-2: 0 1px 2px rgba(0,0,0,.4);`,
  'encrypted by a tool': (make) => `password: ENC[AES256_GCM,data:${make('{b:24}')},iv:${make('{b:24}')},type:str]`,
  'unsigned token': () =>
    `t = "${['{"alg":"none"}', '{"sub":"a"}'].map((part) => Buffer.from(part).toString('base64url')).join('.')}."`,
}

const sha = (make: Make) => createHash('sha256').update(make('{a:10}')).digest('hex')

/** Values that no format gives away, by the names people use. */
const NAMED: readonly string[] = [
  'DB_PASSWORD={m:16}',
  'password: "{m:14}!"',
  "const password = '{m:12}'",
  'SMTP_PASS={m:20}',
  'api_key = "{m:32}"',
  'X_API_KEY: {m:40}',
  'secret: {h:48}',
  'client_secret="{m:36}"',
  'auth_token = "{m:28}"',
  '"accessToken": "{m:44}",',
  'encryption_key: "{m:32}"',
  'signingKey = "{m:30}"; private_key_id = 1',
  '<add key="dbPassword" password="{m:18}" />',
]

const FILLER = [
  'The service reads its configuration when it starts.',
  'export function total(items: readonly Item[]): number {',
  '  return items.reduce((sum, { price, count }) => sum + price * count, 0)',
  'log.info({ order: order.id, took: Math.round(elapsedMs) }, "order was placed")',
  'replicas: 3',
  'image: registry.internal/orders/web:1.42.0',
  'def handler(event, context):',
  '    return {"statusCode": 200, "body": json.dumps(result)}',
  'SELECT id, placed_at FROM orders WHERE customer_id = $1 ORDER BY placed_at DESC LIMIT 50;',
]

/** `each` files for every rule and name, and as many for every kind of decoy. */
export function makeCorpus(seed: number, each: number): Labelled[] {
  const random = seeded(seed)
  const make = maker(random)
  const files: Labelled[] = []
  const filler = (lines: number) =>
    Array.from({ length: lines }, () => FILLER[Math.floor(random() * FILLER.length)] ?? '')
  const add = (path: string, body: string, kind: string | undefined, decoy: string | undefined) => {
    const before = filler(3 + Math.floor(random() * 20))
    const own = body.split('\n')
    const secretLines = new Map(kind === undefined ? [] : own.map((_, at) => [before.length + 1 + at, kind]))
    files.push({ path, text: [...before, ...own, ...filler(5), ''].join('\n'), secretLines, decoy })
  }
  for (let round = 0; round < each; round += 1) {
    for (const { id } of rules) {
      const { path, text } = sampleOf(samples, id, make)
      add(`${id}-${round}/${path}`, text, id, undefined)
    }
    NAMED.forEach((template, at) => add(`named-${at}-${round}/app.conf`, make(template), 'named', undefined))
    for (const [decoy, lines] of Object.entries(DECOYS))
      add(`decoy-${decoy.replaceAll(' ', '-')}-${round}/app.conf`, lines(make), undefined, decoy)
  }
  return files
}
