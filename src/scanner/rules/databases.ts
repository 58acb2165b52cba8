import { isMixed } from '../check/encoded.ts'
import { WELL_FORMED } from '../check/verdict.ts'
import { NOTHING, tokens, type Row, type Rule } from './rule.ts'

/** Sentences identify things by quoted words too. */
const inStatement = (_: string, { before }: { readonly before: string }) =>
  /\b(?:create|alter|grant|set)\b[^;]{0,110}$/i.test(before) ? WELL_FORMED : undefined

/** User and password of a URL (RFC 3986 §3.2.1), as far as the host. No password is a variable or a mark for one. */
const LOGIN = String.raw`[^\s:/?#@"'<>\x60\\]{0,100}:(?<s>[^\s/?#@"'<>\x60\\]{3,200})@[A-Za-z0-9_.\[{$%-]`

const url = (id: string, what: string, issuer: string, schemes: readonly string[], confidence?: 'medium'): Row => [
  id,
  what,
  issuer,
  schemes.map((scheme) => `${scheme}://`),
  new RegExp(`(?i:${schemes.map((scheme) => scheme.replaceAll('+', String.raw`\+`)).join('|')})://${LOGIN}`),
  { notBefore: NOTHING, isInWord: true, confidence: confidence ?? 'high' },
]

/** Logins to databases, queues and directories in URLs and connection strings. */
export const databases: readonly Rule[] = tokens([
  [
    'clickhouse-cloud-key',
    'ClickHouse Cloud key secret',
    'clickhouse',
    '4b1d',
    /4b1d[A-Za-z0-9]{38}/,
    { check: isMixed },
  ],
  url('postgres-url', 'PostgreSQL login in a URL', 'postgresql', [
    'postgres',
    'postgresql',
    'postgresql+asyncpg',
    'postgresql+psycopg2',
    'postgresql+psycopg',
    'cockroachdb',
  ]),
  url('mysql-url', 'MySQL or MariaDB login in a URL', 'mysql', [
    'mysql',
    'mysql2',
    'mariadb',
    'mysql+pymysql',
    'mysql+mysqldb',
  ]),
  url('mongodb-url', 'MongoDB login in a URL', 'mongodb', ['mongodb', 'mongodb+srv']),
  url('redis-url', 'Redis or Valkey login in a URL', 'redis', ['redis', 'rediss', 'valkey']),
  url('amqp-url', 'AMQP login in a URL', 'rabbitmq', ['amqp', 'amqps']),
  url('sqlserver-url', 'SQL Server login in a URL', 'microsoft', [
    'sqlserver',
    'mssql',
    'mssql+pyodbc',
    'mssql+pymssql',
  ]),
  url('clickhouse-url', 'ClickHouse login in a URL', 'clickhouse', ['clickhouse', 'clickhouses', 'clickhouse+native']),
  url('oracle-url', 'Oracle login in a URL', 'oracle', ['oracle', 'oracle+cx_oracle', 'oracle+oracledb']),
  url('nats-url', 'NATS login in a URL', 'nats', ['nats']),
  url('ldap-url', 'LDAP login in a URL', 'ldap', ['ldap', 'ldaps']),
  url('smtp-url', 'Mail login in a URL', 'mail', ['smtp', 'smtps', 'imap', 'imaps']),
  url('ftp-url', 'FTP or SFTP login in a URL', 'ftp', ['ftp', 'ftps', 'sftp', 'ssh']),
  url('smb-url', 'File share login in a URL', 'smb', ['smb', 'cifs', 'afp', 'dav', 'davs']),
  url('socks-url', 'Proxy login in a URL', 'proxy', ['socks5', 'socks5h', 'socks4']),
  url('http-url', 'Login in a web address', 'http', ['http', 'https'], 'medium'),
  [
    'jdbc-password',
    'Password in a JDBC URL',
    'jdbc',
    'jdbc:',
    /jdbc:[a-z0-9:]{2,40}\/\/[^\s"'<>]{1,200}?[?&;](?:password|pwd)=(?<s>[^\s&;"'<>]{4,100})/,
    { notBefore: NOTHING, isInWord: true },
  ],
  [
    'ado-password',
    'Password in a connection string',
    'microsoft',
    [';password=', '; password=', ';pwd=', '; pwd='],
    /; ?(?i:password|pwd)=(?<s>[^\s;"'<>]{4,100})/,
    { notBefore: NOTHING, isInWord: true, confidence: 'medium' },
  ],
  [
    'postgres-keywords',
    'Password in a libpq connection string',
    'postgresql',
    ['host=', 'dbname='],
    /(?:host|dbname)=[^\s"'&]{1,100}(?: [a-z_]{2,30}=[^\s"'&]{1,100}){0,6}? password=(?<s>[^\s"'&]{4,100})/,
    { notBefore: NOTHING, isInWord: true, confidence: 'medium' },
  ],
  [
    'identified-by',
    'Password in a statement that makes a user',
    'sql',
    'identified by ',
    /(?i:identified by )(?:password )?["'](?<s>[^\s"']{4,100})["']/,
    { notBefore: NOTHING, confidence: 'medium', check: inStatement },
  ],
  [
    'sql-role-password',
    'Password in a statement that makes a role',
    'sql',
    ["password '"],
    /(?i:password) '(?<s>[^\s']{4,200})'/,
    { notBefore: NOTHING, confidence: 'medium' },
  ],
])
