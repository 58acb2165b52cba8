import { generateKeyPairSync } from 'node:crypto'
import { jwtSample, opensshSample, type Samples } from './samples.ts'

const rsa = () => generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
const ec = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const lines = (block: string | Buffer) => block.toString().trim()

export const keysSamples: Samples = {
  'rsa-private-key': () => lines(rsa().export({ type: 'pkcs1', format: 'pem' })),
  'ec-private-key': () => lines(ec().export({ type: 'sec1', format: 'pem' })),
  'dsa-private-key': (make) => {
    const der = Buffer.concat([Buffer.from([0x30, 0x81, 0xf0]), Buffer.from(make('{a:240}'), 'latin1')])
    return `-----BEGIN DSA PRIVATE KEY-----\n${der.toString('base64')}\n-----END DSA PRIVATE KEY-----`
  },
  'pkcs8-private-key': () => lines(ec().export({ type: 'pkcs8', format: 'pem' })),
  'encrypted-private-key': (make) =>
    lines(ec().export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: make('{a:12}') })),
  'openssh-private-key': opensshSample,
  'pgp-private-key':
    '-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{b:64}\n{b:64}\n={b:4}\n-----END PGP PRIVATE KEY BLOCK-----',
  'ssh2-private-key':
    '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n{b:64}\n{b:64}\n---- END SSH2 ENCRYPTED PRIVATE KEY ----',
  'putty-private-key':
    'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: orders\nPublic-Lines: 2\n{b:64}\n{b:32}\nPrivate-Lines: 1\n{b:48}',
  'gcp-service-account-key': (make) =>
    JSON.stringify(
      {
        type: 'service_account',
        project_id: 'orders',
        private_key_id: make('{h:40}'),
        private_key: rsa().export({ type: 'pkcs8', format: 'pem' }),
      },
      undefined,
      2,
    ),
  'jwk-private-key': () => JSON.stringify(ec().export({ format: 'jwk' })),
  'jwk-symmetric-key': '{"kty":"oct","alg":"HS256","k":"{w:43}"}',
  jwt: jwtSample,
  'kubeconfig-client-key': () =>
    `    client-key-data: ${Buffer.from(rsa().export({ type: 'pkcs1', format: 'pem' })).toString('base64')}`,
  'docker-auth': (make) =>
    `{"auths":{"r.internal":{"auth":"${Buffer.from(make('orders:{m:20}')).toString('base64')}"}}}`,
  'basic-authorization': (make) => `Authorization: Basic ${Buffer.from(make('orders:{m:20}')).toString('base64')}`,
  'bearer-authorization': 'Authorization: Bearer {m:40}',
  'authorization-header': "curl -H 'Authorization: Token {m:40}' https://api.internal/",
  'curl-user': 'curl -s -u deploy:{m:20} https://api.internal/',
  'wireguard-key': '[Interface]\nPrivateKey = {b64:32}',
  'laravel-key': 'APP_KEY=base64:{b64:32}',
  'django-key': "SECRET_KEY = 'django-insecure-{a:50}'",
  'aspnet-machine-key': '<machineKey validationKey="{H:128}" decryption="AES"/>',
  'gpp-password': '<Properties cpassword="{b:43}=" userName="admin"/>',
  'unattend-password': '<AdministratorPassword><Value>{m:24}</Value></AdministratorPassword>',
  'filezilla-password': '<Pass encoding="base64">{b:20}</Pass>',
  'kubernetes-secret': 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: orders\ndata:\n  login: {b64:24}\n',
  'kubernetes-secret-sorted': 'apiVersion: v1\ndata:\n  login: {b64:24}\nkind: Secret\nmetadata:\n  name: orders\n',
  'nuget-password': '<add key="ClearTextPassword" value="{m:20}" />',
  'maven-password': '<server><id>nexus</id><username>ci</username><password>{m:20}</password></server>',
  'wp-config-secret': "define('DB_PASSWORD', '{m:20}');",
  'netrc-password': { path: '.netrc', text: 'machine git.internal login ci password {m:20}' },
  'pgpass-password': { path: '.pgpass', text: 'db.internal:5432:orders:orders:{m:20}' },
  'pypirc-password': { path: '.pypirc', text: '[pypi]\nusername = ci\npassword = {m:24}' },
  'git-credentials': { path: '.git-credentials', text: 'https://ci:{m:24}@git.internal' },
  'rclone-password': { path: 'rclone.conf', text: '[files]\ntype = sftp\npass = {w:43}' },
  'rails-master-key': 'RAILS_MASTER_KEY={h:32}',
}
