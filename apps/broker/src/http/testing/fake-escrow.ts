import type { Digest, KeyId, Timestamp, VmId } from '@carnet/events';
import type { EscrowService } from '../../service/escrows.ts';
import type { ServiceResult } from '../../service/result.ts';

export const ESCROW = '01936ad4-0000-7000-8000-0000000000e1';

export interface Sample {
  readonly key: KeyId;
  readonly vm: VmId;
  readonly digest: Digest;
  readonly at: Timestamp;
}

/** Escrows that answer everything with one sample of each row, as the schemas have it. */
export function fakeEscrow({ key, vm, digest, at }: Sample): EscrowService {
  const ok = async <T>(value: T): Promise<ServiceResult<T>> => ({ ok: true, value });
  const envelope = {
    payloadType: 'application/vnd.carnet.escrow.v1+json',
    payload: 'AAAA',
    signatures: [{ keyid: digest, sig: 'AAAA' }],
  };
  const custodian = { custodian: 'spiffe://csp-a.example/custodian/anna', sealingKey: digest, enrolledAt: at };
  const by = 'spiffe://csp-a.example/operator';
  const row = {
    escrow: ESCROW,
    state: 'current',
    key,
    vm,
    threshold: 2,
    custodians: [custodian.custodian],
    digest,
    createdAt: at,
    by,
    reason: 'why',
  };
  const open = { escrow: ESCROW, reason: 'why', at, notAfter: at, envelope };
  const drill = { ...open, drill: ESCROW, state: 'open' as const, by, proven: [custodian.custodian] };
  const approval = { custodian: custodian.custodian, reason: 'yes', at, digest };
  const recovery = { ...open, recovery: ESCROW, state: 'open', asker: by, digest, approvals: [approval] };
  const detail = { ...row, manifest: envelope, shares: [{ enc: 'AAAA', ct: 'AAAA' }], drills: [drill], recoveries: [recovery] };
  return {
    custodians: async () => [custodian],
    enroll: () => ok(custodian),
    escrows: async () => [row],
    escrow: () => ok(detail),
    create: () => ok(detail),
    openDrill: () => ok(drill),
    drill: () => ok(drill),
    prove: () => ok(drill),
    conclude: () => ok({ ...drill, state: 'concluded' as const, failed: [], concludedAt: at }),
    ask: () => ok(recovery),
    recovery: () => ok(recovery),
    approve: () => ok(recovery),
    recover: () => ok({ ...recovery, outcome: digest }),
  };
}
