import {
  approvalStatement,
  approverFault,
  type EventData,
  intentRequest,
  isWeakerRekey,
  type MigrationId,
  PAYLOAD_TYPES,
  type Reason,
  type RequestRecord,
  type TrustDomain,
} from '@carnet/events';
import type { PeerIdentity } from '@carnet/pki';
import { openEnvelope, parseStrictJson } from '@carnet/trust';
import { reasonOf } from '../reason.ts';
import { contentDigestOf } from '../service/request-content.ts';

/** Who holds a leaf (base64 DER) under an authority with which this CSP has introduced an event key; valid now. */
export type IdentifyIn = (domain: TrustDomain, leaf: string) => Promise<PeerIdentity | undefined>;

const fault = (text: string): Reason => reasonOf('REQUEST_REFUSED', text);

/**
 * Why the request inside a peer's intent is not what the intent says. Whoever asked by an own signature is proven; for others the
 * source's broker vouches, and then at least the asker is one of its own.
 */
export async function requestFault(
  identify: IdentifyIn,
  migration: MigrationId,
  intent: EventData<'MigrationIntended'>,
): Promise<Reason | undefined> {
  const { request, source, approvals = [] } = intent;
  for (const approval of approvals) {
    const found = await approvalFault(identify, intent, approval);
    if (found !== undefined) return found;
  }
  switch (request.via) {
    case 'token':
    case 'mtls':
      return vouchedFault(request, source);
    case 'signature':
      return signatureFault(await identify(source, request.certificate), migration, intent);
  }
}

/** A token's principal is a name inside the source: nothing in it can be compared with a domain. */
const vouchedFault = ({ via, principal }: RequestRecord, source: TrustDomain): Reason | undefined =>
  via === 'token' || principal.startsWith(`spiffe://${source}/`) ? undefined : fault(`${principal} is not one of ${source}`);

/** A second person is another one of the source, under whatever name, and means exactly this request. */
async function approvalFault(
  identify: IdentifyIn,
  { request, source }: EventData<'MigrationIntended'>,
  approval: RequestRecord,
): Promise<Reason | undefined> {
  const whyNot = approverFault(approval.principal, request.principal);
  if (whyNot !== undefined)
    return fault(whyNot === 'SELF_APPROVAL' ? 'who asked approved it' : 'an API key approved it, which is no person');
  if (approval.via !== 'signature')
    return approval.digest === contentDigestOf(request)
      ? vouchedFault(approval, source)
      : fault('the approval is of another request');
  const identity = await identify(source, approval.certificate);
  if (identity?.spiffeId !== approval.principal || identity.domain !== source)
    return fault(`the certificate of an approval is not valid for ${source}, or names another`);
  const opened = openEnvelope(Buffer.from(JSON.stringify(approval.envelope)), PAYLOAD_TYPES.approval, (keyid) =>
    keyid === identity.leafDigest ? identity.verifier : undefined,
  );
  const json = opened.ok ? parseStrictJson(opened.value.payload) : opened;
  const stated = json.ok ? approvalStatement.safeParse(json.value).data : undefined;
  return stated !== undefined && stated.request === contentDigestOf(request)
    ? undefined
    : fault('the signature of an approval does not verify, or is over another request');
}

function signatureFault(
  identity: PeerIdentity | undefined,
  migration: MigrationId,
  { request, vm, target, mode, rekey, offerBy, source }: EventData<'MigrationIntended'>,
): Reason | undefined {
  if (request.via !== 'signature') return undefined;
  if (identity === undefined || identity.domain !== source) return fault(`the asker's certificate is not valid for ${source}`);
  if (identity.spiffeId !== request.principal) return fault('the asker is another than the certificate says');
  const opened = openEnvelope(Buffer.from(JSON.stringify(request.envelope)), PAYLOAD_TYPES.request, (keyid) =>
    keyid === identity.leafDigest ? identity.verifier : undefined,
  );
  if (!opened.ok) return fault('the signature of the request does not verify');
  const json = parseStrictJson(opened.value.payload);
  const asked = json.ok ? intentRequest.safeParse(json.value).data : undefined;
  if (asked === undefined) return fault('the signed request does not match its schema');
  const same = asked.migration === migration && asked.vm === vm && asked.target === target && asked.mode === mode;
  if (!same) return fault('the intent is not what was asked for');
  if (isWeakerRekey(rekey ?? 'none', asked.rekey ?? 'none')) return fault('the intent demands less re-keying than was asked for');
  return asked.notAfter !== undefined && offerBy > asked.notAfter
    ? fault('the intent is good for longer than was asked for')
    : undefined;
}
