import { gateways } from '../gateways/index.ts'
import { readPolicyFiles, runPolicyTool, type ToolRequest, type ToolResult } from '../policy/policy.ts'

export { readPolicyFiles as readPolicyTexts }

type WithoutActions<Request> = Request extends unknown ? Omit<Request, 'actions'> : never

/** Runs a tool on a folder as this release would load it: with the actions that its gateways offer. */
export function policyTool(request: WithoutActions<ToolRequest>): Promise<ToolResult> {
  const actions = gateways()
    .flatMap((gateway) => gateway.actions)
    .map(({ name, class: group }) => ({
      name,
      groups: [`privileged.${group}`],
      resources: ['Account', 'Target'],
    }))
  return runPolicyTool({ ...request, actions })
}
