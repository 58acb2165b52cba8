import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'

const Text = shown(z.string())

export const trustDomainCreated = event('trust-domain.created', 'A trust domain of others is believed.', {
  name: Text,
  bundleUrl: Text,
  profile: Text,
  endpointId: Text.nullable(),
})
export const trustDomainBundled = event('trust-domain.bundled', 'Another bundle of a trust domain was taken.', {
  name: Text,
  sequence: shown(z.int()).nullable(),
  bundleSha256: shown(z.string().regex(/^[0-9a-f]{64}$/)),
  authorities: shown(z.int()),
  jwtKeys: shown(z.int()),
})
export const trustDomainEnded = event('trust-domain.ended', 'A trust domain of others is believed no more.', {
  name: Text,
  reason: Text,
})

export const federationEvents = [trustDomainCreated, trustDomainBundled, trustDomainEnded]
