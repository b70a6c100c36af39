import { randomUUID } from 'node:crypto';
import { type Digest, type HostName, PAYLOAD_TYPES, spiffeId, type Timestamp, type TrustDomain } from '@carnet/events';
import { type HostCommand, type HostReport, hostCommand, hostReport } from '@carnet/hypervisor';
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

/** Signs a command with the broker's X.509 key: the bus is trusted for nothing but delivery. */
export function signCommand(draft: CommandDraft, deadline: Timestamp, signer: Signer): SignedCommand {
  const command = hostCommand.parse({ ...draft, id: randomUUID(), deadline });
  const payload = Buffer.from(JSON.stringify(command));
  return { bytes: signEnvelope(PAYLOAD_TYPES.command, payload, signer), digest: sha256Hex(payload), command };
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
