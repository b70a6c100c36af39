import { type MigrationId, type Timestamp, trustDomain, type VmId } from '@carnet/events';
import type { DiagnosisRow } from '../../service/diagnosis.ts';

/** With every field that may be there. */
export const fakeDiagnosis = (migration: MigrationId, vm: VmId, at: Timestamp): DiagnosisRow => ({
  migration,
  vm,
  phase: 'released',
  standing: 'in-doubt',
  meaning: 'It stands there.',
  since: at,
  exposedSince: at,
  turns: [{ domain: trustDomain.parse('csp-a.example'), must: ['import the keys'], givesUpAt: at }],
  findings: [{ code: 'PEER_SILENT', text: 'silent' }],
  safe: ['wait'],
  unsafe: ['haste'],
});
