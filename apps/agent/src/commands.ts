import { type Digest, PAYLOAD_TYPES, spiffeId, type Timestamp, type TrustDomain } from '@carnet/events';
import { COMMAND_BYTES_MAX, type HostCommand, type HostReport, hostCommand, reportBytes } from '@carnet/hypervisor';
import { type PeerIdentity, type TrustStore, validatePath } from '@carnet/pki';
import { openEnvelope, parseStrictJson, type Signer, sha256Hex, signEnvelope, type Verifier } from '@carnet/trust';
import { COMMAND_ENVELOPE_BYTES_MAX } from './limits.ts';

/** A verified command and the digest of the payload that was signed. */
export type Verified = { readonly command: HostCommand; readonly digest: Digest };

/** Why bytes are no command of ours. Not answered: whoever sent them is not our broker. */
export type Rejected = { readonly rejected: 'TOO_LARGE' | 'NOT_SIGNED_BY_BROKER' | 'JSON' | 'SCHEMA' };

/** Leaf certificates of our broker, by the keyid that its signatures name. Asked at each command: certificates and CRLs change. */
export type BrokerKeys = (keyid: string) => Verifier | undefined;

export const brokerSpiffeId = (domain: TrustDomain) => spiffeId.parse(`spiffe://${domain}/broker`);

/** Judges a chain as exactly this CSP's broker, now. */
export function validateBroker(
  chain: readonly string[],
  domain: TrustDomain,
  store: TrustStore,
  now: Timestamp,
): PeerIdentity | undefined {
  const judged = validatePath({
    ...store,
    chain,
    at: now,
    trustDomain: domain,
    spiffeId: brokerSpiffeId(domain),
  });
  return judged.ok ? judged.value : undefined;
}

/** Size → signature of our broker → JSON → schema. Nothing is looked at before the broker's signature is verified. */
export function openCommand(bytes: Uint8Array, brokerKeys: BrokerKeys): Verified | Rejected {
  if (bytes.length > COMMAND_ENVELOPE_BYTES_MAX) return { rejected: 'TOO_LARGE' };
  const opened = openEnvelope(bytes, PAYLOAD_TYPES.command, brokerKeys);
  if (!opened.ok) return { rejected: 'NOT_SIGNED_BY_BROKER' };
  const { payload } = opened.value;
  if (payload.length > COMMAND_BYTES_MAX) return { rejected: 'TOO_LARGE' };
  const json = parseStrictJson(payload);
  if (!json.ok) return { rejected: 'JSON' };
  const command = hostCommand.safeParse(json.value);
  return command.success ? { command: command.data, digest: sha256Hex(payload) } : { rejected: 'SCHEMA' };
}

export const signReport = (report: HostReport, signer: Signer): Uint8Array =>
  signEnvelope(PAYLOAD_TYPES.report, reportBytes(report), signer);
