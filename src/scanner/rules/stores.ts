import { ageKey, isMixed } from '../check/encoded.ts'
import { jsonAfter } from '../check/jwt.ts'
import { named, tokens, type Rule } from './rule.ts'

/** Stores of secrets, and what orchestrates. */
export const stores: readonly Rule[] = [
  ...tokens([
    ['vault-service-token', 'Vault or OpenBao service token', 'vault', 'hvs.', /hvs\.[A-Za-z0-9_-]{24,160}/],
    ['vault-batch-token', 'Vault or OpenBao batch token', 'vault', 'hvb.', /hvb\.[A-Za-z0-9_-]{100,320}/],
    ['vault-recovery-token', 'Vault or OpenBao recovery token', 'vault', 'hvr.', /hvr\.[A-Za-z0-9_-]{24,160}/],
    [
      'doppler-token',
      'Doppler token',
      'doppler',
      ['dp.pt.', 'dp.st.', 'dp.ct.', 'dp.sa.', 'dp.scim.', 'dp.audit.'],
      /dp\.(?:pt|ct|sa|scim|audit|st(?:\.[a-z0-9_-]{2,35})?)\.[A-Za-z0-9]{40,44}/,
    ],
    [
      'onepassword-service-token',
      '1Password service account token',
      '1password',
      'ops_eyJ',
      /ops_eyJ[A-Za-z0-9+/_-]{250,1800}={0,3}/,
      { spanBytes: 2048, check: jsonAfter('ops_') },
    ],
    [
      'onepassword-secret-key',
      '1Password secret key',
      '1password',
      'A3-',
      /A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}/,
    ],
    [
      'bitwarden-token',
      'Bitwarden Secrets Manager token',
      'bitwarden',
      ['bws_access_token', 'bws-access-token'],
      /(?:BWS|bws)[_-](?:ACCESS|access)[_-](?:TOKEN|token)["']?\s{0,3}[=:]\s{0,3}["']?(?<s>0\.[0-9a-f-]{36}\.[A-Za-z0-9]{30}:[A-Za-z0-9+/]{22}==)/,
    ],
    [
      'age-secret-key',
      'age secret key',
      'age',
      'AGE-SECRET-KEY-1',
      /AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}/,
      { check: ageKey },
    ],
    [
      'openshift-token',
      'OpenShift access token',
      'openshift',
      'sha256~',
      /sha256~[A-Za-z0-9_-]{43}/,
      { check: isMixed, isInWord: true },
    ],
    [
      'kubernetes-bootstrap-token',
      'kubeadm join command',
      'kubernetes',
      '--token ',
      /--token (?<s>[a-z0-9]{6}\.[a-z0-9]{16})/,
      { isInWord: true },
    ],
  ]),
  ...named([
    [
      'vault-legacy-token',
      'Vault or OpenBao token of the older form',
      'vault',
      ['vault', 'bao_', 'openbao'],
      /[sbr]\.[A-Za-z0-9]{24}/,
      { notBefore: /[A-Za-z0-9.]/ },
    ],
    [
      'vault-secret-id',
      'Vault or OpenBao AppRole secret id',
      'vault',
      ['secret_id', 'secret-id', 'secretid'],
      /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/,
    ],
    [
      'vault-unseal-key',
      'Vault or OpenBao unseal key',
      'vault',
      'unseal key',
      /[A-Za-z0-9+/]{43,44}=?/,
      { confidence: 'high' },
    ],
    [
      'consul-token',
      'Consul or Nomad token',
      'hashicorp',
      ['consul', 'nomad'],
      /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/,
    ],
    [
      'infisical-token',
      'Infisical service token',
      'infisical',
      'infisical',
      /st\.[0-9a-f]{24}\.[0-9a-f]{32}\.[0-9a-f]{32}/,
    ],
    ['akeyless-key', 'Akeyless access key', 'akeyless', 'akeyless', /[A-Za-z0-9+/]{43}=/],
  ]),
]
