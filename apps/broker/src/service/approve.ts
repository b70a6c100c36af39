import type { DsseEnvelope, MigrationId, RequestRecord } from '@carnet/events';
import { byRecord } from '@carnet/policy';
import type { Asked } from '../policy-gate.ts';
import type { IntakePorts } from './intake.ts';
import { contentDigestOf } from './request-content.ts';
import { openSignedApproval, type WaitingRequest } from './requests.ts';
import type { ServiceRefusal, ServiceResult } from './result.ts';

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });

/** How a second person says yes: at the door, which vouches for who it is, or in an own signature that peer and auditor can check. */
export type Approval =
  | { readonly via: 'mtls'; readonly principal: string }
  | { readonly via: 'token'; readonly principal: string; readonly roles?: readonly string[] }
  | { readonly via: 'signature'; readonly envelope: DsseEnvelope; readonly certificate: string };

/**
 * Notes a second person's yes beside the request that waits, which can then be taken as if it were asked anew by who asked it. Whoever
 * may not approve, and who asked for it above all, leaves it as it was.
 */
export async function approve(
  ports: IntakePorts,
  migration: MigrationId,
  approval: Approval,
): Promise<ServiceResult<WaitingRequest>> {
  const waiting = await ports.waiting.get(migration);
  if (waiting === undefined) return refuse('APPROVAL_UNKNOWN', `no request ${migration} waits for a second person`);
  if (!(await ports.isStillGood(waiting.record.principal, waiting.shown)))
    return refuse('REQUEST_LAPSED', `what ${waiting.record.principal} asked with has ended or was revoked`);
  const record = recordOf(ports, waiting, approval);
  if (!record.ok) return record;
  const asked = await askedOf(ports, waiting);
  if (!asked.ok) return asked;
  const verdict = ports.policy.approval(asked.value, byRecord(record.value));
  if (!verdict.allowed)
    return { ok: false, code: 'APPROVAL_REFUSED', text: 'the policy lets another one approve', reasons: verdict.reasons };
  return (await ports.waiting.approve(migration, record.value))
    ? { ok: true, value: waiting }
    : refuse('APPROVAL_UNKNOWN', `the request ${migration} was taken, or ended, meanwhile`);
}

function recordOf(
  { identify }: Pick<IntakePorts, 'identify'>,
  { request, record }: WaitingRequest,
  approval: Approval,
): ServiceResult<RequestRecord> {
  if (approval.via === 'signature') return openSignedApproval(identify, request, approval.envelope, approval.certificate);
  const digest = contentDigestOf(record);
  return digest === undefined
    ? refuse('PARAMETER_INVALID', 'the request that waits has no content')
    : { ok: true, value: { ...approval, digest } };
}

async function askedOf({ inventory, self }: IntakePorts, { request, record }: WaitingRequest): Promise<ServiceResult<Asked>> {
  const held = await inventory.vm(request.vm);
  if (held === undefined) return refuse('VM_UNKNOWN', `${request.vm} is not held by ${self}`);
  const { vm, target, mode } = request;
  return { ok: true, value: { vm, source: self, target, mode, spec: held.spec, request: record } };
}
