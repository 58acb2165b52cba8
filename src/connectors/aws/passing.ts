/**
 * How a role is had by giving it to a service that runs what one likes ("Granting a user permissions to pass a role to an AWS service"). Of each step one
 * action is enough, and all steps are needed.
 */
export const PASSING: readonly { readonly service: string; readonly needs: readonly (readonly string[])[] }[] = [
  {
    service: 'lambda.amazonaws.com',
    needs: [
      ['lambda:CreateFunction'],
      [
        'lambda:InvokeFunction',
        'lambda:AddPermission',
        'lambda:CreateEventSourceMapping',
        'lambda:CreateFunctionUrlConfig',
      ],
    ],
  },
  { service: 'ec2.amazonaws.com', needs: [['ec2:RunInstances']] },
  { service: 'cloudformation.amazonaws.com', needs: [['cloudformation:CreateStack']] },
  {
    service: 'ecs-tasks.amazonaws.com',
    needs: [['ecs:RegisterTaskDefinition'], ['ecs:RunTask', 'ecs:CreateService', 'ecs:UpdateService']],
  },
  {
    service: 'codebuild.amazonaws.com',
    needs: [['codebuild:CreateProject'], ['codebuild:StartBuild', 'codebuild:StartBuildBatch']],
  },
  { service: 'glue.amazonaws.com', needs: [['glue:CreateJob'], ['glue:StartJobRun', 'glue:CreateTrigger']] },
  {
    service: 'sagemaker.amazonaws.com',
    needs: [['sagemaker:CreateNotebookInstance'], ['sagemaker:CreatePresignedNotebookInstanceUrl']],
  },
  { service: 'states.amazonaws.com', needs: [['states:CreateStateMachine'], ['states:StartExecution']] },
]
