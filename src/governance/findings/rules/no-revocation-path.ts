import type { AccountFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const noRevocationPath: Rule<AccountFacts> = {
  id: 'no-revocation-path',
  owasp: 'NHI1:2025',
  title: 'What is issued for it cannot be ended before it ends by itself',
  why: 'When the grant is taken back, or the credential is stolen, it goes on working and nobody can stop it.',
  needs: 'how what was last issued for the account can be ended, or that its login is rotated',
  fix: 'Let the target read revocations (for SSH `RevokedKeys`, for AWS a policy that denies older sessions), or keep the time short.',
  control: 'Targets are registered with a way by which their credentials end at once.',
  judge({ mode, tier, revocability, isRotated, now }) {
    if (revocability === 'expires-only' || revocability === 'none') {
      return found(tier <= 1 ? 'high' : 'medium', now, [
        revocability === 'none'
          ? 'what was last issued for it never ends'
          : 'what was last issued for it works until it expires, whatever is done',
      ])
    }
    if (revocability !== null || isRotated) return clear(now)
    return unknown(
      mode === 'lease' ? 'nothing was issued for it yet' : 'nothing shows whether its login can be ended from here',
    )
  },
}
