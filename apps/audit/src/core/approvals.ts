import { approvalStatement, approverFault, type EventOf, PAYLOAD_TYPES, type RequestRecord } from '@carnet/events';
import { accept, type Checked, openEnvelope, parseStrictJson, refuse } from '@carnet/trust';
import type { Identify } from './agents.ts';
import { contentDigestOf } from './request.ts';

/** Second persons are persons, and others than who asked under whatever name; those who signed are of the source, by their certificates at that time, and mean this request. */
export function checkApproval(
  identify: Identify,
  event: EventOf<'MigrationIntended'>,
  approval: RequestRecord,
  issuers: readonly string[],
): Checked<null, 'APPROVAL_FALSE'> {
  const { request } = event.data;
  const whyNot = approverFault(approval.principal, request.principal);
  if (whyNot === 'SELF_APPROVAL') return refuse('APPROVAL_FALSE', 'who asked approved it', { got: approval.principal });
  if (whyNot === 'APPROVER_NO_PERSON')
    return refuse('APPROVAL_FALSE', 'an API key approved it, which is no person', { got: approval.principal });
  const asked = contentDigestOf(request);
  if (approval.via !== 'signature')
    return approval.digest === asked ? accept(null) : refuse('APPROVAL_FALSE', 'the approval is of another request');
  const identity = identify([approval.certificate, ...issuers], event.publisher, event.time);
  if (!identity.ok) return refuse('APPROVAL_FALSE', `${identity.code}: ${identity.text}`, identity);
  const { spiffeId, leafDigest, verifier } = identity.value;
  if (spiffeId !== approval.principal)
    return refuse('APPROVAL_FALSE', 'another principal signed', { expected: approval.principal, got: spiffeId });
  const opened = openEnvelope(Buffer.from(JSON.stringify(approval.envelope)), PAYLOAD_TYPES.approval, (keyid) =>
    keyid === leafDigest ? verifier : undefined,
  );
  if (!opened.ok) return refuse('APPROVAL_FALSE', `${opened.code}: ${opened.text}`, opened);
  const json = parseStrictJson(opened.value.payload);
  const stated = json.ok ? approvalStatement.safeParse(json.value).data : undefined;
  return stated !== undefined && stated.request === asked
    ? accept(null)
    : refuse('APPROVAL_FALSE', 'the approval is of another request');
}
