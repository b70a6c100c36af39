import { randomUUID } from 'node:crypto';
import {
  type Digest,
  type DsseEnvelope,
  dsseEnvelope,
  type HostName,
  PAYLOAD_TYPES,
  spiffeId,
  type Timestamp,
  type TrustDomain,
} from '@carnet/events';
import {
  grantedEpoch,
  type HostCommand,
  type HostReport,
  hostCommand,
  hostReport,
  isVmCommand,
  type RunPermit,
} from '@carnet/hypervisor';
import { openEnvelope, parseStrictJson, type Signer, sha256Hex, signEnvelope, type Verifier } from '@carnet/trust';

/** Certificate of one agent, as its hello carried it and `validate` accepted it. */
export interface AgentIdentity {
  readonly leafDigest: Digest;
  readonly verifier: Verifier;
}

/** A chain that is exactly this CSP's agent of this host, valid now; anything else is `undefined`. */
export type ValidateAgent = (chain: readonly string[], host: HostName) => AgentIdentity | undefined;

export const agentSpiffeId = (domain: TrustDomain, host: HostName) => spiffeId.parse(`spiffe://${domain}/agent/${host}`);

/** A command as it is sent: the same bytes for every repeat, so that a repeat is recognisably one. */
export interface SignedCommand {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly command: HostCommand;
}

type WithoutId<C> = C extends unknown ? Omit<C, 'id' | 'deadline'> : never;
export type CommandDraft = WithoutId<HostCommand>;

/**
 * Signs a command with the broker's X.509 key: the bus is trusted for nothing but delivery. After what lets a VM run its host
 * keeps a permit, which is signed by itself: the command holds sealed secrets, and those are kept nowhere.
 */
export function signCommand(draft: CommandDraft, deadline: Timestamp, time: Timestamp, signer: Signer): SignedCommand {
  const asked = hostCommand.parse({ ...draft, id: randomUUID(), deadline });
  const permit = permitFor(asked, time, signer);
  const command = permit === undefined ? asked : hostCommand.parse({ ...asked, permit });
  const payload = Buffer.from(JSON.stringify(command));
  return { bytes: signEnvelope(PAYLOAD_TYPES.command, payload, signer), digest: sha256Hex(payload), command };
}

/** The broker's leave to run this VM on this host, in the epoch that the command is for. */
function permitFor(command: HostCommand, time: Timestamp, signer: Signer): DsseEnvelope | undefined {
  const epoch = grantedEpoch(command);
  if (epoch === undefined || !isVmCommand(command)) return undefined;
  const permit: RunPermit = { host: command.host, vm: command.vm, epoch, time };
  const bytes = signEnvelope(PAYLOAD_TYPES.runPermit, Buffer.from(JSON.stringify(permit)), signer);
  return dsseEnvelope.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
}

/** Opens a report that `verifierOf` can vouch for; hostile or broken bytes are `undefined`. */
export function openReport(bytes: Uint8Array, verifierOf: (keyid: string) => Verifier | undefined): HostReport | undefined {
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.report, verifierOf);
  return opened.ok ? readReport(opened.value.payload) : undefined;
}

/** What a report claims, before it is verified: only its kind and chain may be looked at, to find the verifier. */
export function readReport(payload: Uint8Array): HostReport | undefined {
  const json = parseStrictJson(payload);
  return json.ok ? hostReport.safeParse(json.value).data : undefined;
}
