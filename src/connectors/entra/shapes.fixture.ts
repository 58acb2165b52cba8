// Fixtures made by us after the published documentation (Microsoft Graph v1.0, Azure Authorization REST API 2022-04-01). No tenant was asked.
export type Json = Record<string, unknown>
export type Lists = readonly (readonly [string, Json[] | Json])[]

export const object = (type: string, id: string): Json => ({ '@odata.type': `#microsoft.graph.${type}`, id })
export const holds = (id: string, role: string, holder: Json, directoryScopeId = '/'): Json => ({
  id,
  roleDefinitionId: role,
  principalId: holder['id'],
  directoryScopeId,
  principal: holder,
})

export const SCHEDULES: Lists = [
  [
    '/v1.0/roleManagement/directory/roleEligibilityScheduleInstances',
    [
      {
        ...holds('e1', '9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3', object('user', 'user-zoe')),
        endDateTime: '2031-01-01T00:00:00Z',
        memberType: 'Direct',
      },
      holds('e2', '9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3', object('user', 'user-ann'), '/administrativeUnits/unit-1'),
    ],
  ],
  [
    '/v1.0/roleManagement/directory/roleAssignmentScheduleInstances',
    [
      {
        ...holds('s1', '88d8e3e3-8f55-4a1e-953a-9b9898b8876b', object('user', 'user-eve')),
        assignmentType: 'Activated',
        endDateTime: '2030-01-01T08:00:00Z',
      },
      {
        ...holds('s2', '88d8e3e3-8f55-4a1e-953a-9b9898b8876b', object('user', 'user-ann')),
        assignmentType: 'Assigned',
      },
    ],
  ],
]

export const SUBSCRIPTION = '44444444-4444-4444-8444-444444444444'
const at = (path: string) => `/subscriptions/${SUBSCRIPTION}${path}`
const may = (actions: string[], notActions: string[] = []): Json => ({
  actions,
  notActions,
  dataActions: [],
  notDataActions: [],
})
const azureRole = (name: string, roleName: string, ...permissions: Json[]): Json => ({
  id: at(`/providers/Microsoft.Authorization/roleDefinitions/${name}`),
  name,
  properties: { roleName, type: 'BuiltInRole', permissions },
})
const azureHolds = (id: string, role: string, of: [type: string, id: string], scope = at('')): Json => ({
  id: `${scope}/providers/Microsoft.Authorization/roleAssignments/${id}`,
  properties: {
    roleDefinitionId: at(`/providers/Microsoft.Authorization/roleDefinitions/${role}`),
    principalType: of[0],
    principalId: of[1],
    scope,
  },
})
export const AZURE: Lists = [
  ['/subscriptions', [{ subscriptionId: SUBSCRIPTION, displayName: 'Shop production', state: 'Enabled' }]],
  [
    at('/providers/Microsoft.Authorization/roleDefinitions'),
    [
      azureRole('owner', 'Owner', may(['*'])),
      azureRole(
        'contributor',
        'Contributor',
        may(
          ['*'],
          [
            'Microsoft.Authorization/*/Write',
            'Microsoft.Authorization/*/Delete',
            'Microsoft.Authorization/elevateAccess/Action',
          ],
        ),
      ),
      azureRole('reader', 'Reader', may(['*/read'])),
      azureRole(
        'split',
        'Split',
        may(['*'], ['Microsoft.Authorization/*']),
        may(['Microsoft.Authorization/roleAssignments/*']),
      ),
    ],
  ],
  [
    at('/providers/Microsoft.Authorization/roleAssignments'),
    [
      azureHolds('r1', 'owner', ['ServicePrincipal', 'sp-function']),
      azureHolds('r2', 'contributor', ['User', 'user-zoe']),
      azureHolds('r3', 'reader', ['Group', 'group-apps'], at('/resourceGroups/Shop')),
      azureHolds(
        'r4',
        'split',
        ['ServicePrincipal', 'sp-shady'],
        '/providers/Microsoft.Management/managementGroups/root',
      ),
    ],
  ],
  [at('/providers/Microsoft.Authorization/denyAssignments'), []],
]

export const login = (keyId: string, more: Json = {}): Json => ({
  keyId,
  displayName: keyId,
  hint: 'Xy7',
  secretText: null,
  startDateTime: '2023-01-01T00:00:00Z',
  endDateTime: '2299-12-30T00:00:00Z',
  ...more,
})
export const certificate = (keyId: string, more: Json = {}): Json => ({
  keyId,
  displayName: 'CN=billing',
  type: 'AsymmetricX509Cert',
  usage: 'Verify',
  key: null,
  customKeyIdentifier: 'AA11BB22CC33DD44EE55FF66AA77BB88CC99DD00',
  startDateTime: '2026-01-01T00:00:00Z',
  endDateTime: '2026-12-01T00:00:00Z',
  ...more,
})
