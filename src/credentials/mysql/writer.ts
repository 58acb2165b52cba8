import type { HandedWriter } from '../issued/handed.ts'
import { enterMysql } from './connection.ts'
import { endUser, probeUser } from './end.ts'
import { MysqlSettings } from './settings.ts'
import { announceUser, makeUser, mustBeMakeable } from './user.ts'

/** The protocol of MySQL and MariaDB. There is no gateway for it: the login is handed to the holder of the grant. */
export const MYSQL = 'mysql'

/**
 * A user per grant. Whoever holds one can change its password, so nothing in its end relies on knowing it. The server has no end for a user by
 * the minute: until we end it, it lives.
 */
export const mysqlWriter: HandedWriter = {
  kind: 'mysql-user',
  protocol: MYSQL,
  mode: 'lease',
  capability: {
    revocability: 'immediate',
    coexisting: null,
    isReversible: false,
    permissions: [
      'CREATE USER, PROCESS, CONNECTION ADMIN (MySQL: CONNECTION_ADMIN)',
      'the roles WITH ADMIN OPTION',
      'SELECT on mysql.user; in MariaDB UPDATE on mysql.*, for default roles of others',
    ],
  },
  needsSite: true,
  plan(random, { leaseId, terms }) {
    mustBeMakeable(terms)
    return { ...announceUser(random, leaseId), revocability: 'immediate' }
  },
  async apply(site, lease, { isWanted }, signal) {
    const settings = MysqlSettings.parse(site.settings)
    await using upstream = await enterMysql(settings, site.provisioner, signal)
    return { details: await makeUser(upstream, settings, lease, isWanted) }
  },
  async end(site, lease, signal) {
    await using upstream = await enterMysql(MysqlSettings.parse(site.settings), site.provisioner, signal)
    return await endUser(upstream, lease)
  },
  async verify(site, lease, signal) {
    const settings = MysqlSettings.parse(site.settings)
    await using upstream = await enterMysql(settings, site.provisioner, signal)
    return await probeUser(upstream, settings, lease, signal)
  },
}
