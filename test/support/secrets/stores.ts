import { ageSample, type Samples } from './samples.ts'

export const storesSamples: Samples = {
  'vault-service-token': 'hvs.{w:95}',
  'vault-batch-token': 'hvb.{w:140}',
  'vault-recovery-token': 'hvr.{w:24}',
  'doppler-token': 'dp.st.production.{a:43}',
  'onepassword-service-token': (make) =>
    `ops_${Buffer.from(JSON.stringify({ signInAddress: 'orders.1password.com', key: make('{a:220}') })).toString('base64url')}`,
  'onepassword-secret-key': 'A3-{M:6}-{M:11}-{M:5}-{M:5}-{M:5}',
  'bitwarden-token': 'BWS_ACCESS_TOKEN=0.{uuid}.{a:30}:{b:21}A==',
  'age-secret-key': ageSample,
  'openshift-token': 'sha256~{m:43}',
  'kubernetes-bootstrap-token': 'kubeadm join 10.0.0.1:6443 --token {l:6}.{l:16}',
  'vault-legacy-token': 'VAULT_TOKEN=s.{a:24}',
  'vault-secret-id': 'secret_id = "{uuid}"',
  'vault-unseal-key': 'Unseal Key 1: {b64:32}',
  'consul-token': 'CONSUL_HTTP_TOKEN={uuid}',
  'infisical-token': 'INFISICAL_TOKEN=st.{h:24}.{h:32}.{h:32}',
  'akeyless-key': 'AKEYLESS_ACCESS_KEY={b64:32}',
}
