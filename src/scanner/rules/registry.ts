import { endsInCrc32 } from '../check/crc.ts'
import { isMixed, macaroonOf } from '../check/encoded.ts'
import { named, tokens, type Rule } from './rule.ts'

/** Registries of packages and images. */
export const registry: readonly Rule[] = [
  ...tokens([
    ['npm-token', 'npm access token', 'npm', 'npm_', /npm_[A-Za-z0-9]{36}/, { check: endsInCrc32 }],
    [
      'pypi-token',
      'PyPI API token',
      'pypi',
      'pypi-AgEIcHlwaS5vcmc',
      /pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,400}/,
      { check: macaroonOf('pypi-', 'pypi.org') },
    ],
    [
      'test-pypi-token',
      'TestPyPI API token',
      'pypi',
      'pypi-AgENdGVzdC5weXBpLm9yZw',
      /pypi-AgENdGVzdC5weXBpLm9yZw[A-Za-z0-9_-]{50,400}/,
      { check: macaroonOf('pypi-', 'test.pypi.org') },
    ],
    ['rubygems-key', 'RubyGems API key', 'rubygems', 'rubygems_', /rubygems_[0-9a-f]{48}/],
    ['crates-token', 'crates.io token', 'crates.io', 'cio', /cio[A-Za-z0-9]{32}/, { check: isMixed }],
    ['nuget-key', 'NuGet API key', 'nuget', 'oy2', /oy2[a-z0-9]{43}/, { check: isMixed }],
    ['clojars-token', 'Clojars deploy token', 'clojars', 'CLOJARS_', /CLOJARS_[0-9a-z]{60}/],
    ['dockerhub-token', 'Docker Hub personal access token', 'docker', 'dckr_pat_', /dckr_pat_[A-Za-z0-9_-]{27}/],
    [
      'dockerhub-organisation-token',
      'Docker Hub organisation token',
      'docker',
      'dckr_oat_',
      /dckr_oat_[A-Za-z0-9_-]{32}/,
    ],
    [
      'packagist-token',
      'Private Packagist token',
      'packagist',
      'packagist_',
      /packagist_(?:ork|ors|ack|acs|uut|uct)_[0-9a-f]{60,68}/,
    ],
    ['artifactory-key', 'JFrog Artifactory API key', 'jfrog', 'AKCp', /AKCp[A-Za-z0-9]{69}/],
    ['artifactory-reference-token', 'JFrog reference token', 'jfrog', 'cmVmdGtu', /cmVmdGtu[A-Za-z0-9]{56}/],
    [
      'npmrc-password',
      'Password of an .npmrc',
      'npm',
      [':_password', ':_auth'],
      /:_(?:password|auth) {0,2}= {0,2}"?(?<s>[A-Za-z0-9+/]{12,200}={0,2})/,
      { isInWord: true, confidence: 'medium' },
    ],
    ['cachix-token', 'Cachix token', 'cachix', 'cachix_', /cachix_[A-Za-z0-9]{40,64}/],
  ]),
  ...named([
    [
      'npmrc-auth-token',
      'Token of an .npmrc',
      'npm',
      '_authToken',
      /[A-Za-z0-9+/=_.-]{20,500}/,
      { check: isMixed, notBefore: /[A-Za-z0-9+/=_.-]/ },
    ],
    ['cloudsmith-key', 'Cloudsmith API key', 'cloudsmith', 'cloudsmith', /[0-9a-f]{40}/],
    ['gemfury-token', 'Gemfury token', 'gemfury', ['gemfury', 'fury_'], /[A-Za-z0-9]{20}/, { check: isMixed }],
    [
      'npm-uuid-token',
      'npm token of the older form',
      'npm',
      'npm_token',
      /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/,
    ],
  ]),
]
