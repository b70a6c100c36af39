import {
  type Digest,
  type DsseEnvelope,
  type EventData,
  epoch,
  type IntentRequest,
  intentRequest,
  PAYLOAD_TYPES,
  type RekeyMethod,
  type RequestRecord,
  strongerRekey,
  type Timestamp,
  type TrustDomain,
  timestamp,
  type VmId,
} from '@carnet/events';
import type { PeerIdentity } from '@carnet/pki';
import type { Move } from '@carnet/policy';
import type { MigrationState } from '@carnet/saga';
import { openEnvelope, parseStrictJson } from '@carnet/trust';
import type { AloneWith } from '../alone.ts';
import type { HeldVm, Inventory } from '../inventory.ts';
import type { HandoverKeys } from '../keys/handover-keys.ts';
import type { Ledgers } from '../ledgers.ts';
import { hasStartedHere, isMovingHere, mayTakeBack, nextEpochWith } from '../moving.ts';
import type { Agreements } from '../peers/agreements.ts';
import { proposeWithdrawal } from '../perform/withdrawal.ts';
import type { PolicyGate } from '../policy-gate.ts';
import type { Quotas } from '../quotas.ts';
import { reasonOf } from '../reason.ts';
import type { Credential, IsStillGood } from '../users/credential.ts';
import { consentEndsMs } from './consent-window.ts';
import { contentDigest, contentDigestOf } from './request-content.ts';
import type { WaitingRequest, WaitingRequests } from './requests.ts';
import type { IntentAccepted, ServiceRefusal, ServiceResult } from './result.ts';

/** Everything that taking a request needs. */
export interface IntakePorts {
  readonly self: TrustDomain;
  readonly peers: readonly TrustDomain[];
  /** Why no migration may begin under the terms that were agreed with this peer. */
  readonly agreementFault: Agreements['fault'];
  readonly ledgers: Ledgers;
  readonly inventory: Inventory;
  readonly keys: Pick<HandoverKeys, 'reinstate' | 'memoryUsed'>;
  readonly alone: AloneWith;
  readonly quotas: Quotas;
  readonly policy: PolicyGate;
  readonly waiting: WaitingRequests;
  /** Whoever asked may have lost what it asked with while its request waited. */
  readonly isStillGood: IsStillGood;
  readonly nowMs: () => number;
  readonly offerMs: number;
  readonly deadlineMs: number;
  /** What a peer must do at least to the volumes that go there. */
  readonly leastRekey: RekeyMethod;
  /** Who holds a certificate of this CSP (base64 DER of the leaf), valid now. */
  readonly identify: (leaf: string) => PeerIdentity | undefined;
}

const refuse = (code: string, text: string): ServiceRefusal => ({ ok: false, code, text });
const isoAt = (ms: number): Timestamp => timestamp.parse(new Date(ms).toISOString());

/** The request inside a scheduler's own signature; what was verified is what is parsed. */
export function openSignedRequest(
  ports: Pick<IntakePorts, 'identify'>,
  envelope: DsseEnvelope,
  certificate: string,
): ServiceResult<{ readonly request: IntentRequest; readonly record: RequestRecord }> {
  const identity = ports.identify(certificate);
  if (identity === undefined) return refuse('SIGNATURE_REFUSED', 'the certificate of the signature is not valid for this CSP');
  const opened = openEnvelope(Buffer.from(JSON.stringify(envelope)), PAYLOAD_TYPES.request, (keyid) =>
    keyid === identity.leafDigest ? identity.verifier : undefined,
  );
  if (!opened.ok) return refuse('SIGNATURE_REFUSED', opened.text);
  const json = parseStrictJson(opened.value.payload);
  const request = json.ok ? intentRequest.safeParse(json.value) : undefined;
  if (request?.success !== true) return refuse('PARAMETER_INVALID', 'the signed request does not match its schema');
  return {
    ok: true,
    value: { request: request.data, record: { via: 'signature', principal: identity.spiffeId, envelope, certificate } },
  };
}

export interface Drafted {
  readonly data: EventData<'MigrationIntended'>;
  readonly nextEpoch: number;
  readonly held: HeldVm;
}

/** What an intent would say, or why this CSP does not ask for it. Changes nothing: `plan` shows it, `intend` appends it. */
export async function draftIntent(
  ports: IntakePorts,
  request: IntentRequest,
  record: RequestRecord,
): Promise<ServiceResult<Drafted>> {
  if (!ports.peers.includes(request.target)) return refuse('PEER_UNKNOWN', `there is no agreement with ${request.target}`);
  if (request.notAfter !== undefined && Date.parse(request.notAfter) <= ports.nowMs())
    return refuse('INTENT_EXPIRED', `the request was good until ${request.notAfter}`);
  const outside = await ports.agreementFault(request.target, request);
  if (outside !== undefined) return refuse(outside.code, outside.text);
  const held = await ports.inventory.vm(request.vm);
  if (held === undefined) return refuse('VM_UNKNOWN', `${request.vm} is not held by ${ports.self}`);
  const journeys = await ports.ledgers.journeys(request.vm);
  if (isMovingHere(journeys, ports.self)) return refuse('VM_MOVING', `${request.vm} is in a migration that has not ended`);
  const giver = mayTakeBack(journeys, ports.self);
  if (giver !== undefined)
    return refuse(
      'PREVIOUS_OPEN',
      `${giver} gave ${request.vm} and has not retired its copy: until then it may take the VM back`,
    );
  const now = ports.nowMs();
  const rekey = strongerRekey(request.rekey ?? 'none', ports.leastRekey);
  const waiting = await ports.waiting.get(request.migration);
  const approvals = waiting !== undefined && contentDigest(waiting.request) === contentDigest(request) ? waiting.approvals : [];
  const nextEpoch = Math.max(nextEpochWith(journeys, ports.self, request.target), held.epoch + 1);
  const deadlineMs = Math.min(now + ports.deadlineMs, consentEndsMs(request.consent));
  const asked: Omit<Move, 'epoch'> = {
    vm: request.vm,
    source: ports.self,
    target: request.target,
    mode: request.mode,
    ...(rekey === 'none' ? {} : { rekey }),
    spec: held.spec,
    request: record,
    ...(approvals.length === 0 ? {} : { approvals }),
    ...(request.consent === undefined ? {} : { consent: request.consent }),
    ...(ports.policy.ownAccreditations.length === 0 ? {} : { accreditations: ports.policy.ownAccreditations }),
    deadline: isoAt(deadlineMs),
  };
  const policy = await ports.policy.asSource({ ...asked, epoch: nextEpoch }, request.migration);
  const offerBy = Math.min(
    now + ports.offerMs,
    deadlineMs,
    request.notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(request.notAfter),
  );
  const data: EventData<'MigrationIntended'> = {
    ...asked,
    policy,
    offerBy: isoAt(offerBy),
  };
  return { ok: true, value: { data, nextEpoch, held } };
}

/** A request waits this long for another about the same VM; an append takes milliseconds. */
const ALONE_MS_MAX = 3_000;
const ALONE_AGAIN_MS = 20;

/**
 * Appends the intent, unless this very request was taken before: then it answers what was answered then. Threat: two requests
 * at once move one VM to two peers; neither ledger's lock sees the other's.
 */
export async function intend(
  ports: IntakePorts,
  request: IntentRequest,
  record: RequestRecord,
  shown: Credential,
): Promise<ServiceResult<IntentAccepted>> {
  for (let waitedMs = 0; waitedMs < ALONE_MS_MAX; waitedMs += ALONE_AGAIN_MS) {
    const taken = await ports.alone(request.vm, (signal) => intendAlone(ports, { request, record, shown }, signal));
    if (taken.held) return taken.value;
    await new Promise((resolve) => setTimeout(resolve, ALONE_AGAIN_MS));
  }
  return refuse('VM_MOVING', `another request about ${request.vm} is being decided`);
}

/** What is asked for, by whom, and what it came with. */
type Asking = Pick<WaitingRequest, 'request' | 'record' | 'shown'>;

async function intendAlone(ports: IntakePorts, asking: Asking, signal: AbortSignal): Promise<ServiceResult<IntentAccepted>> {
  const { request } = asking;
  const before = await takenBefore(ports, request);
  if (before !== undefined) return before;
  const turn = await ports.quotas.turn(request.target, 'outgoing', (lost) =>
    intendInTurn(ports, asking, AbortSignal.any([signal, lost])),
  );
  return turn.held ? turn.value : refuse('QUOTA_BUSY', `other requests to ${request.target} are being decided`);
}

async function intendInTurn(ports: IntakePorts, asking: Asking, signal: AbortSignal): Promise<ServiceResult<IntentAccepted>> {
  const { request, record } = asking;
  const drafted = await draftIntent(ports, request, record);
  if (!drafted.ok) return drafted;
  const { data, nextEpoch } = drafted.value;
  if (!data.policy.allowed) return denied(ports, asking, drafted.value);
  const opens = epoch.safeParse(nextEpoch);
  if (!opens.success) return refuse('EPOCH_EXHAUSTED', `no epoch is left for ${request.vm} with ${request.target}`);
  const proposed = await ports.ledgers.propose(request.vm, request.target, async () => {
    if (signal.aborted) return refuse('VM_MOVING', 'the right to decide about the VM was lost with a database connection');
    return { type: 'MigrationIntended', migration: request.migration, epoch: opens.data, data };
  });
  if (!proposed.ok) return (await takenBefore(ports, request)) ?? refuse(proposed.code, proposed.text);
  await ports.quotas.note(request.vm, request.target);
  await ports.waiting.remove(request.migration);
  return { ok: true, value: { migration: request.migration, digest: proposed.digest, repeated: false } };
}

/** No ledger hears of it. Where nothing but a second person is missing, the request waits for one. */
async function denied(ports: IntakePorts, asking: Asking, { data, nextEpoch }: Drafted): Promise<ServiceRefusal> {
  const { request } = asking;
  const { reasons } = data.policy;
  if (reasons.every(({ code }) => code === 'APPROVAL_NEEDED')) {
    const waits: ServiceRefusal = {
      ok: false,
      code: 'APPROVAL_NEEDED',
      text: `${request.migration} waits for a second person`,
      reasons,
    };
    return (await ports.waiting.add(asking)) ?? waits;
  }
  const others = await ports.policy.alternatives({ ...data, epoch: nextEpoch }, request.migration);
  return { ok: false, code: 'POLICY_DENIES', text: "this CSP's policy denies the move", reasons: [...reasons, ...others] };
}

/** With any peer: the fold guards each pair, and this guards all pairs together. */
export async function isMoving(ports: Pick<IntakePorts, 'ledgers' | 'self'>, vm: VmId): Promise<boolean> {
  return isMovingHere(await ports.ledgers.journeys(vm), ports.self);
}

/** See {@link hasStartedHere}. */
export async function hasStarted(ports: Pick<IntakePorts, 'ledgers' | 'self'>, vm: VmId): Promise<boolean> {
  return hasStartedHere(await ports.ledgers.journeys(vm), ports.self);
}

/** The same id with the same content is the same request; with other content it is somebody else's. */
async function takenBefore(ports: IntakePorts, request: IntentRequest): Promise<ServiceResult<IntentAccepted> | undefined> {
  const named = (await ports.ledgers.journeys(request.vm))
    .flatMap(({ migrations }) => migrations)
    .filter(({ id }) => id === request.migration);
  // A peer may have opened one of our id since.
  const found = named.find(({ source }) => source === ports.self) ?? named[0];
  const intent = found?.facts.MigrationIntended;
  if (found === undefined || intent === undefined) return undefined;
  const same = found.source === ports.self && contentDigestOf(intent.data.request) === contentDigest(request);
  if (!same) return refuse('MIGRATION_ID_TAKEN', `${request.migration} was asked for with other content`);
  return { ok: true, value: { migration: request.migration, digest: intent.digest, repeated: true } };
}

/** Only the source withdraws, and only before the release. */
export async function cancel(
  ports: IntakePorts,
  m: MigrationState,
  principal: string,
  text: string,
): Promise<ServiceResult<{ readonly digest: Digest }>> {
  if (m.source !== ports.self) return refuse('CANCEL_NOT_OURS', `the source is ${m.source}`);
  if (m.sourcePhase === 'released' || m.sourcePhase === 'retired') return refuse('CANCEL_TOO_LATE', 'the key is released');
  const withdrawn = m.facts.MigrationWithdrawn;
  if (withdrawn !== undefined) return { ok: true, value: { digest: withdrawn.digest } };
  const attempt = { vm: m.vm, peer: m.target, migration: m.id, epoch: m.epoch };
  const proposed = await proposeWithdrawal(ports, attempt, reasonOf('CANCELLED', `${principal}: ${text}`));
  return proposed.ok ? { ok: true, value: { digest: proposed.digest } } : refuse(proposed.code, proposed.text);
}
