import { airflowConnector } from './airflow/connector.ts'
import { awsConnector } from './aws/connector.ts'
import type { Connector } from './connector.ts'
import { entraConnector } from './entra/connector.ts'
import { gcpConnector } from './gcp/connector.ts'
import { giteaConnector } from './gitea/connector.ts'
import { githubConnector } from './github/connector.ts'
import { gitlabConnector } from './gitlab/connector.ts'
import { keycloakConnector } from './keycloak/connector.ts'
import { kubernetesConnector } from './kubernetes/connector.ts'
import { ldapConnector } from './ldap/connector.ts'
import { mcpConnector } from './mcp/connector.ts'
import { mysqlConnector } from './mysql/connector.ts'
import { openbaoConnector } from './openbao/connector.ts'
import { postgresConnector } from './postgres/connector.ts'
import { scimConnector } from './scim/connector.ts'
import { sourceConnector } from './source/connector.ts'
import { sshConnector } from './ssh/connector.ts'
import { tableConnector } from './table/connector.ts'
import { x509Connector } from './x509/connector.ts'

/** Every connector there is. A new system is a folder, a page and a line here. */
export const connectors: readonly Connector[] = [
  postgresConnector,
  mysqlConnector,
  x509Connector,
  sshConnector,
  kubernetesConnector,
  giteaConnector,
  githubConnector,
  gitlabConnector,
  sourceConnector,
  tableConnector,
  scimConnector,
  mcpConnector,
  openbaoConnector,
  ldapConnector,
  awsConnector,
  keycloakConnector,
  entraConnector,
  gcpConnector,
  airflowConnector,
]
