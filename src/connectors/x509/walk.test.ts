import assert from 'node:assert/strict'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { certificateOf } from '../../../test/support/certificates.ts'
import { readCertificate } from '../../kernel/x509-read.ts'
import { Observation, tellCertificates, type ScopeReport } from '../connector.ts'
import { readFiles } from './files.ts'

const certificate = certificateOf({ subject: 'shop.example' })

async function reportOf(folder: string): Promise<ScopeReport & { readonly told: number }> {
  const pages = readFiles(folder, new Date('2026-01-02T03:04:05Z'), new AbortController().signal)
  let told = 0
  for (let next = await pages.next(); ; next = await pages.next()) {
    if (next.done) return { ...next.value, told }
    told += next.value.observations.filter(({ kind }) => kind === 'credential').length
  }
}

test('a file that is listed and cannot be looked at makes the folder partial, so that nothing looks gone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-walk-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'seen.pem'), certificate.pem)
  // Its folder can be listed by its path, and the file's own path is longer than the system takes.
  const deep = join(folder, ...Array.from({ length: 16 }, () => 'd'.repeat(245)))
  mkdirSync(deep, { recursive: true })
  const held = openSync(deep, 'r')
  const hidden = `/proc/self/fd/${held}/${'h'.repeat(250)}.pem`
  writeFileSync(hidden, certificate.pem)

  const report = await reportOf(folder).finally(() => {
    unlinkSync(hidden)
    closeSync(held)
  })

  assert.equal(report.told, 1)
  assert.equal(report.status, 'partial')
  assert.deepEqual(
    report.missing.map(({ what, why }) => `${what}: ${why}`),
    ['1 files: they are there, and looking at them failed'],
  )
})

test('links that lead nowhere or round in a circle hide nothing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-walk-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'seen.pem'), certificate.pem)
  symlinkSync('nowhere', join(folder, 'nowhere.pem'))
  symlinkSync('circle.pem', join(folder, 'circle.pem'))

  const { status, missing, told } = await reportOf(folder)

  assert.deepEqual([status, missing, told], ['complete', [], 1])
})

test('attack: no damage to a certificate ends more than itself, and what is told of it can be written', () => {
  const { der } = certificateOf({ subject: 'x', names: ['a.example'], isAuthority: true })
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), fc.nat(der.length), (at, byte, cut) => {
      const damaged = Buffer.from(der)
      damaged[at] = byte
      assert.ok(cut === der.length || readCertificate(der.subarray(0, cut)) === undefined)
      const found = readCertificate(damaged)
      if (!found) return
      const told = tellCertificates(
        [found],
        { id: { kind: 'file', id: 'f' }, location: 'f', how: 'file' },
        found.notBefore,
      )
      for (const each of told) Observation.parse(each)
    }),
    { numRuns: 400 },
  )
})
