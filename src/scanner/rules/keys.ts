import { basicPair, encodedPem, encodedSecret, isMixed, privateJwk } from '../check/encoded.ts'
import { jwt } from '../check/jwt.ts'
import { opensshKey, pemKey, puttyKey } from '../check/pem.ts'
import { verified, WELL_FORMED } from '../check/verdict.ts'
import { NOTHING, named, tokens, type Rule, type Row } from './rule.ts'

/** A block as long as an RSA key of 16,384 bits needs it. */
const BLOCK_BYTES = 16_384

/** RFC 1421 §4.6.1.1: what older tools write over an encrypted body. */
const UNDER_PASSPHRASE = String.raw`(?:[\s\\nr]{1,8}Proc-Type: ?4,ENCRYPTED[\s\\nr]{1,8}DEK-Info: ?[A-Z0-9,-]{1,100})?`

const pem = (id: string, what: string, label: string, check: NonNullable<Rule['check']>): Row => [
  id,
  what,
  'x509',
  `-----BEGIN ${label}-----`,
  new RegExp(`-----BEGIN ${label}-----${UNDER_PASSPHRASE}[^-]{40,${BLOCK_BYTES - 200}}-----END ${label}-----`),
  { spanBytes: BLOCK_BYTES, check, isInWord: true, notBefore: NOTHING },
]

/** A manifest of Kubernetes as YAML: its kind, and the first value of its data. */
const KIND = String.raw`kind: ["']?[Ss]ecret\b["']?`
const DATA = String.raw`data:[ \t]{0,20}\r?\n(?:[ \t]{1,20}[^\s-][^\n]{0,200}\n){0,6}?[ \t]{1,20}[\w.-]{1,100}:[ \t]{0,4}(?:[|>]-?[ \t]{0,4}\r?\n[ \t]{1,20})?["']?(?<s>[A-Za-z0-9+/]{12,4000}={0,2})`

/** Keys and tokens of open formats, whoever uses them. */
export const keys: readonly Rule[] = [
  ...tokens([
    pem('rsa-private-key', 'RSA private key (PKCS #1)', 'RSA PRIVATE KEY', pemKey),
    pem('ec-private-key', 'EC private key (SEC 1)', 'EC PRIVATE KEY', pemKey),
    pem('dsa-private-key', 'DSA private key', 'DSA PRIVATE KEY', pemKey),
    pem('pkcs8-private-key', 'Private key (PKCS #8)', 'PRIVATE KEY', pemKey),
    pem('encrypted-private-key', 'Private key under a passphrase (PKCS #8)', 'ENCRYPTED PRIVATE KEY', pemKey),
    pem('openssh-private-key', 'OpenSSH private key', 'OPENSSH PRIVATE KEY', opensshKey),
    pem('pgp-private-key', 'OpenPGP private key', 'PGP PRIVATE KEY BLOCK', () => WELL_FORMED),
    [
      'ssh2-private-key',
      'SSH.com private key',
      'ssh',
      '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----',
      /---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----[^-]{40,8000}---- END SSH2 ENCRYPTED PRIVATE KEY ----/,
      { spanBytes: BLOCK_BYTES, notBefore: NOTHING, isInWord: true },
    ],
    [
      'putty-private-key',
      'PuTTY private key',
      'ssh',
      'PuTTY-User-Key-File-',
      /PuTTY-User-Key-File-[23]: [a-z0-9-]{4,30}\r?\nEncryption: [a-z0-9-]{3,20}\r?\n[^]{40,12000}?Private-Lines: [0-9]{1,3}[A-Za-z0-9+/=\s]{20,8000}/,
      { spanBytes: BLOCK_BYTES, check: puttyKey, notBefore: NOTHING },
    ],
    [
      'gcp-service-account-key',
      'Google service account key',
      'google',
      '"service_account"',
      /"service_account"[^{}]{0,600}?"private_key"\s{0,4}:\s{0,4}"(?<s>-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\\n\s]{200,4000}-----END PRIVATE KEY-----)/,
      { spanBytes: 8192, check: pemKey, notBefore: NOTHING, isInWord: true },
    ],
    [
      'jwk-private-key',
      'Private JSON Web Key',
      'jose',
      '"kty"',
      /"kty"[^{}]{0,2400}?"d"\s{0,8}:\s{0,8}"(?<s>[A-Za-z0-9_-]{40,700})"[^{}]{0,2400}\}/,
      { spanBytes: 8192, check: privateJwk, notBefore: NOTHING, isInWord: true },
    ],
    [
      'jwk-symmetric-key',
      'Symmetric JSON Web Key',
      'jose',
      '"oct"',
      /"oct"[^{}]{0,400}?"k"\s{0,8}:\s{0,8}"(?<s>[A-Za-z0-9_-]{20,400})"/,
      { notBefore: NOTHING, isInWord: true },
    ],
    [
      'jwt',
      'JSON Web Token',
      'jose',
      ['eyJh', 'eyJ0', 'eyJr', 'eyJq', 'eyJj', 'eyJl', 'eyJ4', 'eyJ6', 'eyJi', 'eyJ1', 'eyJu', 'ewog', 'eyAi'],
      /e[wy][A-Za-z0-9_-]{14,600}\.e[wy][A-Za-z0-9_-]{4,4000}\.[A-Za-z0-9_-]{20,800}/,
      { spanBytes: 6000, check: jwt, notBefore: /[A-Za-z0-9_-]/ },
    ],
    [
      'kubeconfig-client-key',
      'Client key in a kubeconfig',
      'kubernetes',
      'client-key-data',
      /client-key-data["']?\s{0,4}:\s{0,4}["']?(?<s>[A-Za-z0-9+/]{100,6000}={0,2})/,
      { spanBytes: 8192, check: encodedPem },
    ],
    [
      'docker-auth',
      'Login of a container registry',
      'docker',
      '"auth"',
      /"auth"\s{0,6}:\s{0,6}"(?<s>[A-Za-z0-9+/]{8,400}={0,2})"/,
      { check: basicPair, notBefore: NOTHING, isInWord: true },
    ],
    [
      'basic-authorization',
      'HTTP Basic login in a header',
      'http',
      ['basic '],
      /[Bb]asic (?<s>[A-Za-z0-9+/]{12,200}={0,2})/,
      { check: basicPair, notBefore: /[A-Za-z0-9+/=]/, confidence: 'medium' },
    ],
    [
      'bearer-authorization',
      'Bearer token in a header',
      'http',
      ['bearer '],
      /[Bb]earer (?<s>[A-Za-z0-9._~+/-]{24,400}=?)/,
      { check: isMixed, notBefore: /[A-Za-z0-9._~+/=-]/, confidence: 'medium' },
    ],
    [
      'authorization-header',
      'Token in an Authorization header',
      'http',
      'authorization:',
      /[Aa]uthorization:[ \t]{0,4}(?:(?:[Tt]oken|[Aa]pi[Kk]ey|GenieKey|SSWS|PRIVATE-TOKEN)[ \t]{1,4})?(?<s>[A-Za-z0-9._~+/-]{16,400}=?)/,
      { check: isMixed, notBefore: /[A-Za-z0-9._~+/=({-]/, confidence: 'medium' },
    ],
    [
      'curl-user',
      'Login on the command line of curl',
      'http',
      ['curl '],
      /curl (?:(?:[^\n\\]|\\[^]){0,300}? )?(?:-u ?|--user[ =])["']?[^\s:"']{0,60}:(?<s>[^\s"']{4,100})/,
      { notBefore: NOTHING, confidence: 'medium' },
    ],
    [
      'kubernetes-secret',
      'Value in a Secret of Kubernetes',
      'kubernetes',
      ['kind: secret', 'kind: "secret"', "kind: 'secret'"],
      new RegExp(`${KIND}[ \\t]{0,20}\\r?\\n(?:(?!---)[^]){0,800}?${DATA}`),
      { spanBytes: 6000, notBefore: /[A-Za-z0-9+/=]/, confidence: 'medium', check: encodedSecret },
    ],
    [
      'kubernetes-secret-sorted',
      'Value in a Secret of Kubernetes, its keys in order as the API server prints them',
      'kubernetes',
      'data:',
      new RegExp(`${DATA}["']?[ \\t]{0,4}\\r?\\n(?:(?!---)[^]){0,1500}?${KIND}`),
      { spanBytes: 6000, notBefore: /[A-Za-z]/, confidence: 'medium', check: encodedSecret },
    ],
    [
      'nuget-password',
      'Password of a package source of NuGet',
      'nuget',
      ['key="cleartextpassword"', 'key="password"'],
      /(?i:key="(?:ClearText)?Password")\s{1,4}value="(?<s>[^"\n%${}]{6,300})"/,
      { notBefore: NOTHING, isInWord: true, confidence: 'medium' },
    ],
    [
      'wireguard-key',
      'WireGuard private key',
      'wireguard',
      ['privatekey', 'presharedkey'],
      /(?:PrivateKey|PresharedKey) ?= ?(?<s>[A-Za-z0-9+/]{43}=)/,
    ],
    ['laravel-key', 'Laravel application key', 'laravel', 'app_key=base64:', /APP_KEY=base64:(?<s>[A-Za-z0-9+/]{43}=)/],
    [
      'django-key',
      'Django secret key',
      'django',
      'django-insecure-',
      /django-insecure-[^\s"']{40,64}/,
      { notBefore: NOTHING, confidence: 'medium' },
    ],
    [
      'aspnet-machine-key',
      'ASP.NET machine key',
      'microsoft',
      'validationkey=',
      /validationKey="(?<s>[0-9A-F]{40,128})"/,
      { notBefore: NOTHING },
    ],
    [
      'gpp-password',
      'Password in a group policy preference',
      'microsoft',
      'cpassword=',
      /cpassword="(?<s>[A-Za-z0-9+/]{22,200}={0,2})"/,
      { notBefore: NOTHING, check: () => verified('the key to it is published') },
    ],
    [
      'unattend-password',
      'Password of an unattended Windows set-up',
      'microsoft',
      ['<administratorpassword>', '<autologon>'],
      /(?i:<(?:AdministratorPassword|AutoLogon)>)[^]{0,200}?<Value>(?<s>[^<\s]{4,200})<\/Value>/,
      { notBefore: NOTHING, isInWord: true, confidence: 'medium' },
    ],
    [
      'filezilla-password',
      'Password of a FileZilla site',
      'filezilla',
      '<pass encoding="base64">',
      /<Pass encoding="base64">(?<s>[A-Za-z0-9+/]{4,200}={0,2})<\/Pass>/,
      { notBefore: NOTHING, isInWord: true },
    ],
    [
      'maven-password',
      'Password of a Maven server',
      'maven',
      '<password>',
      /<password>(?<s>[^<\s{}$]{6,200})<\/password>/,
      { notBefore: NOTHING, isInWord: true, confidence: 'medium' },
    ],
    [
      'wp-config-secret',
      'Secret of a WordPress configuration',
      'wordpress',
      ['db_password', 'auth_key', 'auth_salt', 'logged_in_', 'nonce_key', 'nonce_salt'],
      /(?:DB_PASSWORD|AUTH_KEY|AUTH_SALT|LOGGED_IN_KEY|LOGGED_IN_SALT|NONCE_KEY|NONCE_SALT)["'], {0,4}["'](?<s>[^"'\n]{8,100})["'] {0,2}\)/,
      { notBefore: NOTHING, isInWord: true },
    ],
  ]),
  ...tokens([
    [
      'netrc-password',
      'Password of a .netrc',
      'netrc',
      'machine ',
      /machine\s{1,4}[^\s]{1,100}\s{1,8}login\s{1,4}[^\s]{1,100}\s{1,8}password\s{1,4}(?<s>[^\s]{4,200})/,
      { files: /netrc/, notBefore: NOTHING },
    ],
    [
      'pgpass-password',
      'Password of a .pgpass',
      'postgresql',
      [':5432:', ':*:', ':5433:', ':6432:'],
      /:(?:\d{1,5}|\*):[^:\s]{1,64}:[^:\s]{1,64}:(?<s>[^:\s]{4,200})/,
      { before: /[A-Za-z0-9.*_-]{1,100}/, files: /pgpass/, isInWord: true, notBefore: NOTHING },
    ],
    [
      'pypirc-password',
      'Password of a .pypirc',
      'pypi',
      'password',
      /password\s{0,4}[=:]\s{0,4}(?<s>[^\s]{6,300})/,
      { files: /pypirc/, notBefore: NOTHING },
    ],
    [
      'git-credentials',
      'Login in .git-credentials',
      'git',
      'https://',
      /https:\/\/[^\s:@/]{1,100}:(?<s>[^\s:@/]{4,200})@[a-z0-9.-]{3,100}/,
      { files: /git-credentials/, notBefore: NOTHING },
    ],
    [
      'rclone-password',
      'Password of an rclone remote',
      'rclone',
      ['pass = ', 'password = '],
      /pass(?:word)? = (?<s>[A-Za-z0-9_-]{22,200})/,
      { files: /rclone/, notBefore: NOTHING },
    ],
  ]),
  ...named([
    [
      'rails-master-key',
      'Rails master key',
      'rails',
      ['rails_master_key', 'secret_key_base'],
      /(?:[0-9a-f]{128}|[0-9a-f]{32})/,
      { confidence: 'high' },
    ],
  ]),
]
