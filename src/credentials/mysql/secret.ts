import { nativePasswordHash } from '../../kernel/crypto.ts'
import type { Secret } from '../../kernel/secret.ts'
import { SecretRefused } from '../rotation/rotator.ts'
import { LeaseFailure } from '../writer.ts'
import type { Standing } from './acting.ts'
import { errnoOf, textIn } from './connection.ts'

/** What password rules answer (`validate_password`, `simple_password_check`). */
const RULED_OUT = 1819
/** What MariaDB identifies by that can be told as a hash. */
const NATIVE = 'mysql_native_password'
/** What MySQL keeps as hashes of its own making. */
const KNOWN: ReadonlySet<string> = new Set(['caching_sha2_password', 'sha256_password', NATIVE])

/**
 * A text between quotes, whatever is in it. The connection pins a `sql_mode` in which backslashes escape, and utf8mb4, in which no byte of a
 * longer sign looks like a quote.
 */
function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\0', '\\0')}'`
}

/**
 * The login gets this secret, and MySQL keeps the one before if that is asked for. MariaDB writes statements to its general log as they are, so it gets the
 * hash; MySQL keeps passwords out of its logs and hashes better itself.
 */
export async function setSecret(standing: Standing, user: string, secret: Secret, more = ''): Promise<void> {
  const { upstream, server, name, isItself } = standing
  if (!isItself) await mustBeTold(standing, user)
  const hash = `'${nativePasswordHash(secret.reveal())}'`
  const itself = server.isMariadb ? `set password = ${hash}` : `alter user user() identified by`
  const other = server.isMariadb
    ? `alter user ${name} identified via ${NATIVE} using ${hash}`
    : `alter user ${name} identified by`
  const text = isItself ? itself : other
  try {
    await upstream.run('changing the secret', server.isMariadb ? text : `${text} ${literal(secret.reveal())}${more}`)
  } catch (error) {
    if (!(error instanceof LeaseFailure) || errnoOf(error) !== RULED_OUT) throw error
    throw new SecretRefused(`${error.message}: the target's own rules refuse it`, { cause: error })
  }
}

/** A secret that nobody knows. */
export async function forgetSecret({ upstream, server, name }: Standing): Promise<void> {
  await upstream.run(
    'taking its secret away',
    server.isMariadb
      ? `alter user ${name} identified via ${NATIVE} using 'invalid'`
      : `alter user ${name} identified by random password`,
  )
}

/** Throws where it is let in by something else than a password of its own: setting one would open a way in, or shut another. */
async function mustBeTold({ upstream, server, host }: Standing, user: string): Promise<void> {
  const [row] = await upstream.query(
    'looking how it is identified',
    server.isMariadb
      ? `select json_value(priv, '$.plugin') as plugin, json_exists(priv, '$.auth_or') as others from mysql.global_priv where user = ? and host = ?`
      : `select plugin as plugin, 0 as others from mysql.user where user = ? and host = ?`,
    [user, host],
  )
  const plugin = textIn(row, 'plugin')
  const isOurs = plugin === '' ? server.isMariadb : server.isMariadb ? plugin === NATIVE : KNOWN.has(plugin)
  if (!isOurs || textIn(row, 'others') === '1') {
    throw new LeaseFailure(
      `${user} is not identified by a password alone (${plugin.replaceAll(/\W/g, '').slice(0, 40)})`,
    )
  }
}
