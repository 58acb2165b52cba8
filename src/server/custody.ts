import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { rootKeyTaken } from '../credentials/credentials.ts'
import type { Config } from '../kernel/config.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { systemClock } from '../kernel/clock.ts'
import { openEgress, type Egress } from '../kernel/egress.ts'
import { openKms, type Kms } from '../kernel/kms/client.ts'
import { kmsHolder } from '../kernel/kms/holder.ts'
import { kmsForm } from '../kernel/kms/root-key-form.ts'
import { pkcs11Holder } from '../kernel/pkcs11/holder.ts'
import { pkcs11Form } from '../kernel/pkcs11/root-key-form.ts'
import { Token } from '../kernel/pkcs11/token.ts'
import {
  inClear,
  makeRootKey,
  readNextRootKey,
  readRootKey,
  rootKeyFile,
  type RootKeyFiles,
  type RootKeyForm,
} from '../kernel/root-key.ts'
import { sealUnder, type Seal } from '../kernel/seal.ts'
import { openSigningKeys, type SigningKeys } from '../kernel/signing-keys.ts'
import { transitForm } from '../kernel/transit.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'

/** The files of the root key, and who wraps it. Whatever else is configured may have wrapped what still stands there. */
export async function rootKeyFiles(config: Config): Promise<RootKeyFiles> {
  const { custody, pkcs11, kms } = config
  const { address, key, tokenFile, mount } = custody
  const forms = new Map<typeof custody.kind, RootKeyForm>([['file', inClear]])
  if (address !== undefined && key !== undefined && tokenFile !== undefined) {
    forms.set('transit', transitForm(await egressOf(config), { address, key, tokenFile, mount }))
  }
  const token = tokenOf(config)
  if (token && pkcs11.rootKey !== undefined) forms.set('pkcs11', pkcs11Form(token, pkcs11.rootKey))
  const cloud = await kmsOf(config)
  if (cloud && kms.rootKey !== undefined) forms.set('kms', kmsForm(cloud, kms.rootKey))
  const form = forms.get(custody.kind) ?? inClear
  return { folder: join(config.home, 'keys'), form, others: [...forms.values()].filter((other) => other !== form) }
}

/** Where keys that sign are, and where new ones are made. */
export async function signingKeysOf(config: Config): Promise<SigningKeys> {
  const [token, cloud] = [tokenOf(config), await kmsOf(config)]
  const holders = [...(token ? [pkcs11Holder(token)] : []), ...(cloud ? [kmsHolder(cloud)] : [])]
  const holder = holders.find(({ kind }) => kind === config.keys.kind)
  return openSigningKeys(
    holder,
    holders.filter((other) => other !== holder),
  )
}

function tokenOf({ pkcs11: { module, token, pinFile } }: Config): Token | undefined {
  if (module === undefined || token === undefined || pinFile === undefined) return undefined
  return new Token({ module, token, pinFile })
}

async function kmsOf(config: Config): Promise<Kms | undefined> {
  const { region, address, credentialsFile, profile } = config.kms
  if (region === undefined || credentialsFile === undefined) return undefined
  return openKms(await egressOf(config), systemClock, { region, address, credentialsFile, profile })
}

async function egressOf({ egress: rules }: Config): Promise<Egress> {
  const ca = rules.caFile === undefined ? undefined : await readFile(rules.caFile, 'utf8')
  return openEgress({ allow: rules.allow, ca })
}

/** The seal of this installation. Throws a sentence that says what to restore where the root key is not the one the database is sealed under. */
export async function openSeal(config: Config, db: Db): Promise<Seal> {
  const files = await rootKeyFiles(config)
  if (await readNextRootKey(files)) {
    throw new Error('another root key is half taken up: run `reeve custody rewrap` to the end, then start the nodes')
  }
  const found = await readRootKey(files, true)
  if (!found && (await hasSealedValues(db))) {
    throw new Error(
      `the root key ${rootKeyFile(files)} is missing, and sealed values exist${await wanted(db)}: restore the file from your key backup; nothing else opens them`,
    )
  }
  const seal = sealUnder(found ?? (await makeRootKey(files)))
  await transact(db, (tx) => mustBeTheKey(tx, seal, rootKeyFile(files)))
  return seal
}

/** Enters root keys that were taken while no node ran to say so. */
export async function enterRootKeys(db: Db, ledger: Ledger): Promise<void> {
  await transact(db, async (tx) => {
    const found = await tx
      .selectFrom('rootKey')
      .select(['generation', 'keyId', 'sinceAt'])
      .where('isEntered', '=', false)
      .orderBy('generation')
      .forUpdate()
      .execute()
    for (const { generation, keyId, sinceAt } of found) {
      const facts = { generation, keyId, since: sinceAt }
      const resource = { type: 'Installation', id: 'installation' }
      await ledger.record(tx, { event: rootKeyTaken, actor: SYSTEM, resource, outcome: 'done', facts })
      await tx.updateTable('rootKey').set({ isEntered: true }).where('generation', '=', generation).execute()
    }
  })
}

/** Throws unless the database is sealed under this very key; the first one is noted. */
export async function mustBeTheKey(tx: Tx, seal: Seal, file: string): Promise<number> {
  const last = await lastGeneration(tx)
  if (last?.keyId === seal.keyId) return last.generation
  if (last) {
    throw new Error(
      `the root key ${file} is ${seal.keyId}, and this database is sealed under ${last.keyId} (generation ${last.generation}): restore that key from your key backup, or, where the database is an older copy, take ${file}.<generation> that \`reeve custody rewrap\` kept`,
    )
  }
  const row = await tx
    .selectFrom('ledgerLog')
    .select(['id', 'sealedKey'])
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  // Of a database of an earlier release nothing says which key it is: the key of its ledger does.
  if (row) seal.open(row.sealedKey, `ledger_log.sealed_key:${row.id}`)
  await tx
    .insertInto('rootKey')
    .values({ generation: 1, keyId: seal.keyId, sinceAt: sql<Date>`now()` })
    .onConflict((on) => on.column('generation').doNothing())
    .execute()
  const noted = await lastGeneration(tx)
  if (noted?.keyId !== seal.keyId)
    throw new Error(`another node took another root key than ${file}: share the home folder`)
  return noted.generation
}

export function lastGeneration(db: Db) {
  return db
    .selectFrom('rootKey')
    .select(['generation', 'keyId'])
    .orderBy('generation', 'desc')
    .limit(1)
    .executeTakeFirst()
}

async function wanted(db: Db): Promise<string> {
  const last = await lastGeneration(db)
  return last ? ` under ${last.keyId} (generation ${last.generation})` : ''
}

/** A new root key over sealed values would lose them silently. */
async function hasSealedValues(db: Db): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select exists (select from ledger_log) or exists (select from subject_key where sealed_key is not null)
        or exists (select from target where sealed_provisioner is not null) or exists (select from root_key) as found`.execute(
    db,
  )
  return rows[0]?.found ?? true
}
