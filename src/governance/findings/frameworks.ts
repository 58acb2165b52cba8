/**
 * Which control of which framework a risk of the OWASP Non-Human Identities Top 10 (2025) is about. The only place where ids of frameworks
 * stand. Of NIST CSF it names version 2.0 (PR.AA-05 took the place of PR.AC-4); SP 800-207 has numbered tenets and no control ids, so a control
 * is named by SP 800-53 r5.
 */
export const OWASP = {
  'NHI1:2025': 'Improper Offboarding',
  'NHI2:2025': 'Secret Leakage',
  'NHI3:2025': 'Vulnerable Third-Party NHI',
  'NHI4:2025': 'Insecure Authentication',
  'NHI5:2025': 'Overprivileged NHI',
  'NHI6:2025': 'Insecure Cloud Deployment Configurations',
  'NHI7:2025': 'Long-Lived Secrets',
  'NHI8:2025': 'Environment Isolation',
  'NHI9:2025': 'NHI Reuse',
  'NHI10:2025': 'Human Use of NHI',
} as const
export type OwaspId = keyof typeof OWASP

export const FRAMEWORKS = {
  'nist-csf-2.0': 'NIST Cybersecurity Framework 2.0',
  'nist-800-53-r5': 'NIST SP 800-53 revision 5',
  'nist-800-207': 'NIST SP 800-207, tenets of section 2.1',
  'pci-dss-4.0.1': 'PCI DSS 4.0.1',
  'iso-27001-2022': 'ISO/IEC 27001:2022, annex A',
  'soc-2': 'SOC 2 trust services criteria',
} as const
type Framework = keyof typeof FRAMEWORKS
type Controls = Readonly<Record<Framework, readonly string[]>>

export const CONTROLS_OF: Readonly<Record<OwaspId, Controls>> = {
  'NHI1:2025': controls('PR.AA-01 PR.AA-05', 'AC-2 AC-2(3) PS-4', 'tenet-6', '7.2.5.1', '5.16 5.18', 'CC6.2 CC6.3'),
  'NHI2:2025': controls('PR.AA-01 PR.DS-01', 'IA-5(6) IA-5(7)', 'tenet-2', '8.6.2', '5.17 8.4', 'CC6.1'),
  'NHI3:2025': controls('ID.AM-04 PR.AA-05', 'AC-6 SR-3', 'tenet-5', '8.2.7', '5.19 5.23', 'CC6.3 CC6.6'),
  'NHI4:2025': controls('PR.AA-03', 'IA-5(1) IA-9', 'tenet-6', '8.6.3', '8.5', 'CC6.1'),
  'NHI5:2025': controls('PR.AA-05', 'AC-6 AC-6(5) AC-6(7)', 'tenet-3 tenet-4', '7.2.5', '5.15 8.2', 'CC6.3'),
  'NHI6:2025': controls('PR.AA-03 PR.AA-05', 'AC-3 IA-9', 'tenet-4', '7.2.5', '5.23 8.9', 'CC6.1 CC8.1'),
  'NHI7:2025': controls('PR.AA-01', 'IA-5', 'tenet-3', '8.6.3', '5.17', 'CC6.1'),
  'NHI8:2025': controls('PR.AA-05', 'AC-3 IA-5(8)', 'tenet-4', '7.2.5', '8.31', 'CC6.1'),
  'NHI9:2025': controls('PR.AA-01 PR.AA-05', 'AC-2(9) IA-9', 'tenet-3', '8.2.2', '5.16', 'CC6.1'),
  'NHI10:2025': controls('PR.AA-05 DE.CM-03', 'AC-2(9) AC-2(12) AU-10', 'tenet-7', '8.6.1', '5.16 8.16', 'CC6.1 CC7.2'),
}

/** In the order of `FRAMEWORKS`. */
function controls(
  ...[csf, sp53, tenets, pci, iso, soc]: readonly [string, string, string, string, string, string]
): Controls {
  return {
    'nist-csf-2.0': csf.split(' '),
    'nist-800-53-r5': sp53.split(' '),
    'nist-800-207': tenets.split(' '),
    'pci-dss-4.0.1': pci.split(' '),
    'iso-27001-2022': iso.split(' '),
    'soc-2': soc.split(' '),
  }
}
