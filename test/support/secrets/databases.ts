import type { Samples } from './samples.ts'

export const databasesSamples: Samples = {
  'postgres-url': 'postgres://orders:{m:18}@db.internal:5432/orders',
  'mysql-url': 'mysql://orders:{m:18}@db.internal:3306/orders',
  'mongodb-url': 'mongodb+srv://orders:{m:18}@cluster0.internal.net/orders',
  'redis-url': 'rediss://:{m:30}@cache.internal:6380/0',
  'amqp-url': 'amqps://orders:{m:18}@queue.internal/orders',
  'sqlserver-url': 'sqlserver://orders:{m:18}@db.internal:1433',
  'clickhouse-url': 'clickhouse://orders:{m:18}@ch.internal:9000/default',
  'oracle-url': 'oracle://orders:{m:18}@ora.internal:1521/XE',
  'nats-url': 'nats://orders:{m:18}@nats.internal:4222',
  'ldap-url': 'ldaps://cn=reader:{m:18}@dir.internal',
  'smtp-url': 'smtps://mailer:{m:18}@mail.internal:465',
  'ftp-url': 'sftp://upload:{m:18}@files.internal/in',
  'smb-url': 'smb://share:{m:18}@files.internal/in',
  'socks-url': 'socks5://proxy:{m:18}@proxy.internal:1080',
  'http-url': 'https://deploy:{m:24}@git.internal/orders.git',
  'jdbc-password': 'jdbc:postgresql://db.internal:5432/orders?user=orders&password={m:18}',
  'ado-password': 'Server=db.internal;Database=orders;User Id=orders;Password={m:18};',
  'postgres-keywords': 'host=db.internal port=5432 user=orders password={m:18} sslmode=require',
  'identified-by': "create user orders identified by '{m:18}'",
  'sql-role-password': "create role orders login password '{m:18}'",
}
