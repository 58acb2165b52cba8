import { sha256 } from '../../kernel/crypto.ts'
import { ldapCode } from '../../kernel/ldap-client.ts'
import type { Act } from '../rotation/rotator.ts'
import { LeaseFailure, NotWanted } from '../writer.ts'
import { EXISTS_ALREADY, fenced, type Directory, type LdapEntry } from './directory.ts'
import { dnOf } from './names.ts'

/** What is of one entry alone: its secret, its keys, its picture, what Reeve left there. */
const ITS_OWN: ReadonlySet<string> = new Set([
  'dn',
  'userpassword',
  'usercertificate',
  'usersmimecertificate',
  'userpkcs12',
  'sshpublickey',
  'jpegphoto',
  'description',
])
const MEMBERSHIP = [
  ['groupofuniquenames', 'uniqueMember'],
  ['posixgroup', 'memberUid'],
] as const
const UNGUESSED_BYTES = 36

type Twin = Act & { readonly like: string; readonly mark: string }

/** The other entry: of the same classes, in the same groups, and let in by nobody yet. */
export async function prepareTwin(directory: Directory, { user, like, mark, isWanted }: Twin): Promise<void> {
  const { settings } = directory
  const [dn, likeDn] = [dnOf(settings, user), dnOf(settings, like)]
  const groups = await directory.groupsOf(likeDn, like)
  if (groups.length === 0) throw new LeaseFailure(`${like} is in no group, so another one cannot have the same rights`)
  const model = await directory.read(likeDn, ['*'])
  if (!model) throw new LeaseFailure(`there is no entry of ${like}`)
  if (await directory.read(dn, ['1.1'])) await fenced(directory, { dn, mark, isWanted })
  else if (!(await isWanted())) throw new NotWanted('the rotation went on elsewhere')
  else await make(directory, dn, { model, user, mark })
  const standing = await directory.groupsOf(dn, user)
  const has = new Set(standing.map((group) => group.dn))
  const extra = standing.filter((group) => !groups.some((each) => each.dn === group.dn))
  if (extra.length > 0) {
    throw new LeaseFailure(
      `${user} is in groups that ${like} is not in: ${extra.map((group) => group.dn).join(', ')}`.slice(0, 500),
    )
  }
  for (const group of groups.filter((each) => !has.has(each.dn))) await join(directory, group, { dn, user })
}

type Made = { readonly model: LdapEntry; readonly user: string; readonly mark: string }

async function make(directory: Directory, dn: string, { model, user, mark }: Made): Promise<void> {
  const { naming } = directory.settings
  const copied = Object.entries(model.values).filter(
    ([name, values]) => !ITS_OWN.has(name.replace(/;.*$/, '').toLowerCase()) && values.length > 0,
  )
  const nobodys = sha256(`${mark} ${dn}`)
  const values = {
    ...Object.fromEntries(copied),
    [naming]: [user],
    userPassword: [`{SSHA}${Buffer.concat([nobodys, nobodys]).subarray(0, UNGUESSED_BYTES).toString('base64')}`],
  }
  try {
    await directory.add('making the other entry', dn, values)
  } catch (error) {
    // Made by another attempt meanwhile.
    const code = error instanceof LeaseFailure ? ldapCode(error.cause) : undefined
    if (code === undefined || !EXISTS_ALREADY.has(code)) throw error
  }
}

async function join(
  directory: Directory,
  group: LdapEntry,
  { dn, user }: { readonly dn: string; readonly user: string },
): Promise<void> {
  const classes = (group.values['objectClass'] ?? []).map((each) => each.toLowerCase())
  const [, type] = MEMBERSHIP.find(([name]) => classes.includes(name)) ?? [undefined, 'member']
  const values = [type === 'memberUid' ? user : dn]
  await directory.modify('joining the group', group.dn, [{ operation: 'add', type, values }])
}
