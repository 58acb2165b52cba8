import { crcSample, macaroonSample, type Samples } from './samples.ts'

export const registrySamples: Samples = {
  'npm-token': (make) => crcSample(make, 'npm_'),
  'pypi-token': (make) => macaroonSample(make, 'pypi-', 'pypi.org'),
  'test-pypi-token': (make) => macaroonSample(make, 'pypi-', 'test.pypi.org'),
  'rubygems-key': 'rubygems_{h:48}',
  'crates-token': 'cio{m:32}',
  'nuget-key': 'oy2{n:43}',
  'clojars-token': 'CLOJARS_{l:60}',
  'dockerhub-token': 'dckr_pat_{w:27}',
  'dockerhub-organisation-token': 'dckr_oat_{w:32}',
  'packagist-token': 'packagist_uut_{h:68}',
  'artifactory-key': 'AKCp{a:69}',
  'artifactory-reference-token': 'cmVmdGtu{a:56}',
  'cachix-token': 'cachix_{a:44}',
  'npmrc-auth-token': '//npm.example.com/:_authToken={m:40}',
  'npmrc-password': '//npm.example.com/:_password={b:40}',
  'cloudsmith-key': 'CLOUDSMITH_API_KEY={h:40}',
  'gemfury-token': 'GEMFURY_TOKEN={m:20}',
  'npm-uuid-token': 'NPM_TOKEN={uuid}',
}
