import { DIGEST, key, VM } from './samples.ts';

const envelope = { payloadType: 'x', payload: 'AAAA', signatures: [{ keyid: DIGEST, sig: 'AAAA' }] };
export const ESCROW = '01936ad4-0000-7000-8000-0000000000e1';
const anna = 'spiffe://csp-a.example/custodian/anna';
export const drill = {
  drill: ESCROW,
  escrow: ESCROW,
  state: 'concluded',
  reason: 'quarterly',
  by: 'omar',
  at: '2026-11-23T12:00:00.000Z',
  notAfter: '2026-11-30T12:00:00.000Z',
  proven: [],
  failed: [anna],
  envelope,
};
export const recovery = {
  recovery: ESCROW,
  escrow: ESCROW,
  state: 'open',
  asker: 'olga',
  reason: 'the root is lost',
  at: '2026-11-23T12:00:00.000Z',
  notAfter: '2026-11-30T12:00:00.000Z',
  digest: DIGEST,
  envelope,
  approvals: [{ custodian: anna, reason: 'spoken to Olga', at: '2026-11-23T12:00:00.000Z', digest: DIGEST }],
};
export const escrow = {
  escrow: ESCROW,
  state: 'current',
  key: key.key,
  vm: VM,
  threshold: 2,
  custodians: [anna],
  digest: DIGEST,
  createdAt: '2026-11-23T12:00:00.000Z',
  by: 'omar',
  reason: 'a new VM',
  manifest: envelope,
  shares: [],
  drills: [drill],
  recoveries: [recovery],
};
export const custodian = { custodian: anna, sealingKey: DIGEST, enrolledAt: '2026-11-23T12:00:00.000Z' };
