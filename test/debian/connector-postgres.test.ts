import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { CONFORMANCE } from '../../src/connectors/conformance.fixture.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { postgresBed } from '../support/postgres-source.ts'

// The connector's common story on the PostgreSQL 15 of Debian: no options of memberships, no set_option, another pg_hba_file_rules.

const debian = '/usr/lib/postgresql/15/bin'
let cluster: Cluster

before(async () => {
  cluster = await startCluster(existsSync(debian) ? { binFolder: debian } : {})
})
after(() => cluster[Symbol.asyncDispose]())

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance on 15: ${story}`, async (t) => run(t, await postgresBed(cluster)))
}
