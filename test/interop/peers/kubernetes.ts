import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, keptFolder } from './folder.ts'

/** What is built, as `kubernetes/go.mod` names it. */
export const KUBERNETES_VERSION = '1.36.1'

/** Builds `kube-apiserver` and `kubectl` by Go, which takes minutes once. `etcd` is Debian's (`etcd-server`). */
export async function kubernetesPrograms(): Promise<{ apiserver: string; kubectl: string }> {
  const folder = await keptFolder(`kubernetes-${KUBERNETES_VERSION}`, async (draft) => {
    for (const file of ['go.mod', 'go.sum', 'tools.go']) {
      await copyFile(join(import.meta.dirname, 'kubernetes', file), join(draft, file))
    }
    const programs = ['k8s.io/kubernetes/cmd/kube-apiserver', 'k8s.io/kubernetes/cmd/kubectl']
    await build('go', ['build', '-mod=mod', '-trimpath', '-o', draft, ...programs], draft)
  })
  return { apiserver: join(folder, 'kube-apiserver'), kubectl: join(folder, 'kubectl') }
}
