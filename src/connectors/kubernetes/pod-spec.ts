/** Which secrets and tokens a pod is given, and how: by environment, volume, projection, driver (CSI), or to pull its images with. */
import { z } from 'zod'

const SecretRef = z.object({ name: z.string().optional() })
const Container = z.object({
  name: z.string(),
  env: z
    .array(
      z.object({
        name: z.string(),
        valueFrom: z.object({ secretKeyRef: SecretRef.extend({ key: z.string() }).nullish() }).nullish(),
      }),
    )
    .nullish(),
  envFrom: z.array(z.object({ secretRef: SecretRef.nullish() })).nullish(),
})
const Projected = z.object({
  sources: z
    .array(
      z.object({
        secret: SecretRef.nullish(),
        serviceAccountToken: z
          .object({ audience: z.string().nullish(), expirationSeconds: z.number().nullish(), path: z.string() })
          .nullish(),
      }),
    )
    .nullish(),
})
/** Drivers of volumes that take a secret, each under a name of its own. */
const ByDriver = z.object({
  secretRef: SecretRef.nullish(),
  nodePublishSecretRef: SecretRef.nullish(),
  secretName: z.string().nullish(),
})
const Volume = z.object({
  name: z.string(),
  secret: z.object({ secretName: z.string().optional() }).nullish(),
  projected: Projected.nullish(),
  csi: ByDriver.extend({ driver: z.string() }).nullish(),
  azureFile: ByDriver.nullish(),
  cephfs: ByDriver.nullish(),
  flexVolume: ByDriver.nullish(),
  iscsi: ByDriver.nullish(),
  rbd: ByDriver.nullish(),
  scaleIO: ByDriver.nullish(),
  storageos: ByDriver.nullish(),
})
type Volume = z.output<typeof Volume>

export const PodSpec = z.object({
  serviceAccountName: z.string().nullish(),
  serviceAccount: z.string().nullish(),
  automountServiceAccountToken: z.boolean().nullish(),
  imagePullSecrets: z.array(SecretRef).nullish(),
  containers: z.array(Container).nullish(),
  initContainers: z.array(Container).nullish(),
  ephemeralContainers: z.array(Container).nullish(),
  volumes: z.array(Volume).nullish(),
})

export type Mount = {
  readonly how: 'env' | 'volume' | 'projected' | 'csi' | 'imagePullSecrets'
  readonly secret: string
  readonly where: string
}
type Token = { readonly audience: string; readonly seconds: number; readonly where: string }

/** Projected tokens live an hour unless they say otherwise. */
const TOKEN_SECONDS = 3_600

export function credentialsOf(spec: z.output<typeof PodSpec>): {
  readonly tokens: readonly Token[]
  readonly mounts: readonly Mount[]
} {
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])]
  const mounts = [...containers.flatMap(byEnvironment), ...(spec.volumes ?? []).flatMap(byVolume), ...toPull(spec)]
  const once = new Map(mounts.map((mount) => [JSON.stringify(mount), mount]))
  const tokens = new Map(
    (spec.volumes ?? []).flatMap(projectedTokens).map((token) => [`${token.audience} ${token.seconds}`, token]),
  )
  return { tokens: [...tokens.values()], mounts: [...once.values()] }
}

function byEnvironment({ name, env, envFrom }: z.output<typeof Container>): Mount[] {
  const single = (env ?? []).flatMap((variable): Mount[] => {
    const ref = variable.valueFrom?.secretKeyRef
    return ref?.name === undefined ? [] : [{ how: 'env', secret: ref.name, where: `${name}: $${variable.name}` }]
  })
  const whole = (envFrom ?? []).flatMap(({ secretRef }): Mount[] =>
    secretRef?.name === undefined ? [] : [{ how: 'env', secret: secretRef.name, where: `${name}: all its values` }],
  )
  return [...single, ...whole]
}

function byVolume(volume: Volume): Mount[] {
  const where = `volume ${volumeName(volume)}`
  const secret = volume.secret?.secretName
  const projected = (volume.projected?.sources ?? []).flatMap(({ secret: each }) => each?.name ?? [])
  const { azureFile, cephfs, flexVolume, iscsi, rbd, scaleIO, storageos } = volume
  const drivers = [azureFile, cephfs, flexVolume, iscsi, rbd, scaleIO, storageos, volume.csi]
  const driven = drivers.flatMap((driver) => [
    driver?.secretName,
    driver?.secretRef?.name,
    driver?.nodePublishSecretRef?.name,
  ])
  return [
    ...(secret === undefined ? [] : [{ how: 'volume' as const, secret, where }]),
    ...projected.map((name) => ({ how: 'projected' as const, secret: name, where })),
    ...driven.flatMap((name) => (typeof name === 'string' ? [{ how: 'csi' as const, secret: name, where }] : [])),
  ]
}

/** Admission names the token's volume anew for each pod; the rest of the name says what it is. */
function volumeName({ name }: Volume): string {
  return name.replace(/^(kube-api-access)-[a-z0-9]{5}$/, '$1')
}

function projectedTokens(volume: Volume): Token[] {
  return (volume.projected?.sources ?? []).flatMap(({ serviceAccountToken: token }) =>
    token
      ? [
          {
            audience: token.audience ?? '',
            seconds: token.expirationSeconds ?? TOKEN_SECONDS,
            where: `volume ${volumeName(volume)}`,
          },
        ]
      : [],
  )
}

function toPull({ imagePullSecrets }: z.output<typeof PodSpec>): Mount[] {
  return (imagePullSecrets ?? []).flatMap(({ name }) =>
    name === undefined ? [] : [{ how: 'imagePullSecrets' as const, secret: name, where: 'images' }],
  )
}
