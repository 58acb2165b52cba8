/**
 * Credentials issued under grants. A lease is announced (row and entry committed), made at the target, recorded as issued, and shared by the
 * sessions of its grant. Whatever ends the grant makes it an open obligation in the same transaction:
 *
 *     announced → issued → ending → dead
 *
 * An obligation is retried for ever, at a slower pace and with a louder owner, until the target refuses the login and knows no such
 * role (rule 6). What cannot be revoked says so. How a credential is made and ended is the business of a `LeaseWriter` per protocol.
 *
 * The trade: between the target's success and our record of it a process may die. So every step at the target can run again, a
 * lease that was announced and never issued is ended like any other, and the target itself fences making against ending.
 */
export { endLeasesOf } from './end-leases.ts'

export { awsActions } from './aws/actions.ts'
export type { MintWebIdentity } from './aws/session.ts'
export { AWS, awsWriter } from './aws/writer.ts'
export { rootKeyTaken } from './custody/events.ts'
export { reachCustody } from './custody/fault-points.ts'
export { rewrapSealed } from './custody/rewrap.ts'
export { custodyRoutes } from './custody/routes.ts'
export { httpsActions } from './https/actions.ts'
export { HTTPS, httpsWriter } from './https/writer.ts'
export type { HandedWriter } from './issued/handed.ts'
export { issuedRoutes } from './issued/routes.ts'
export { closeUsesOfIssued } from './issued/sweep.ts'
export { keycloakActions } from './keycloak/actions.ts'
export { keycloakSecretRotator } from './keycloak/rotate.ts'
export { KEYCLOAK, keycloakWriter } from './keycloak/writer.ts'
export { kubernetesTokenActions } from './kubernetes/actions.ts'
export { KUBERNETES_TOKEN, kubernetesTokenWriter } from './kubernetes/writer.ts'
export { ldapActions } from './ldap/actions.ts'
export { ldapLoginRotator } from './ldap/rotate.ts'
export { LDAP, ldapWriter } from './ldap/writer.ts'
export { mysqlActions } from './mysql/actions.ts'
export {
  codeOf as mysqlCode,
  enterMysql,
  errnoOf as mysqlErrno,
  textIn as mysqlText,
  type MysqlRow,
} from './mysql/connection.ts'
export { mysqlLoginRotator } from './mysql/rotate.ts'
export { MYSQL, mysqlWriter } from './mysql/writer.ts'
export { openbaoActions } from './openbao/actions.ts'
export { OPENBAO, openbaoWriter } from './openbao/writer.ts'
export { leaseFor, type IssuedLease } from './lease-for.ts'
export type { CredentialNeeds } from './needs.ts'
export { runObligations, type Obligations } from './obligations.ts'
export { awsKeyRotator } from './aws/rotate.ts'
export { postgresLoginRotator } from './postgres/rotate.ts'
export { enter as enterPostgres } from './postgres/upstream.ts'
export { postgresRoleWriter } from './postgres/writer.ts'
export { countLeases, leaseResource } from './reads.ts'
export { credentialRoutes } from './routes.ts'
export type { RotationNeeds } from './rotation/needs.ts'
export { ticketOfLocalSecret } from './rotation/local-secret.ts'
export { standingConsumers } from './rotation/consumer-records.ts'
export { countObligations } from './rotation/obligations.ts'
export { loginsKnownTo } from './rotation/known-to.ts'
export { rotateAfterBreakGlass, rotateAfterLeaver } from './rotation/occasions.ts'
export { countAlarms, countRotations } from './rotation/reads.ts'
export { rotationRoutes } from './rotation/routes.ts'
export { runRotations, type RunningRotations } from './rotation/worker.ts'
export { siteOf } from './site.ts'
export { machineOpenRoutes, machineRoutes } from './machines/routes.ts'
export { refreshDue, trustBundle, type FederationNeeds } from './spiffe/federation.ts'
export { federationRoutes } from './spiffe/federation-routes.ts'
export { spiffeOpenRoutes, spiffeRoutes } from './spiffe/routes.ts'
export { SSH, sshActions } from './ssh/actions.ts'
export { sshOpenRoutes, sshRoutes } from './ssh/routes.ts'
export { closeUsesOfExpired } from './ssh/sweep.ts'
export { sshCertificateWriter } from './ssh/writer.ts'
