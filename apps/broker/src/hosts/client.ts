import { type HostName, type Timestamp, type TrustDomain, timestamp } from '@carnet/events';
import { type Hello, type HostReply, type HostReport, hello as helloSchema } from '@carnet/hypervisor';
import type { Log } from '@carnet/runtime';
import type { Signer, Verifier } from '@carnet/trust';
import type { NatsConnection } from 'nats';
import { hailHosts } from './hail.ts';
import { createHostRegistry, type HostRegistry } from './registry.ts';
import {
  type AgentIdentity,
  type CommandDraft,
  openReport,
  readReport,
  type SignedCommand,
  signCommand,
  type ValidateAgent,
} from './wire.ts';

/** A host answers at once: long steps say `running`. */
export const REPLY_MS_MAX = 8_000;
/** After it a command is refused by its host; a broker that still wants it signs it again. */
export const COMMAND_MS_VALID = 600_000;
/** Certificates of hosts are judged again this often: a revoked agent is no witness for longer. */
export const JUDGED_MS_VALID = 10_000;
/** Between a host's clock and ours. A hello from further away is a recording. */
export const HELLO_MS_OFF_MAX = 60_000;
/** Envelope of a report: hellos of a big host stay below. */
export const REPORT_BYTES_MAX = 1_048_576;

export interface HostClientOptions {
  readonly bus: NatsConnection;
  readonly domain: TrustDomain;
  readonly hosts: readonly HostName[];
  readonly signer: Signer;
  readonly validateAgent: ValidateAgent;
  readonly nowMs: () => number;
  readonly log: Log;
  /** Anything new from a host: a step may have ended, a VM may have crashed. */
  readonly onReport: (host: HostName, report: HostReport) => void;
}

/** What became of one asking. `silent`: nothing came back in time, so nothing is known. */
export type Asked = HostReply | { readonly status: 'silent'; readonly text: string };

export interface HostClient {
  readonly registry: HostRegistry;
  /** `validMs`: how long the host may take it up. */
  readonly sign: (draft: CommandDraft, validMs?: number) => SignedCommand;
  readonly ask: (command: SignedCommand) => Promise<Asked>;
  readonly close: () => void;
}

/** Speaks to this CSP's agents inside its own account. Every reply must be signed by the host that was asked. */
export function openHostClient(options: HostClientOptions): HostClient {
  const registry = createHostRegistry(options.hosts, options.nowMs);
  const identities = new Map<
    string,
    { readonly identity: AgentIdentity; readonly chain: readonly string[]; readonly judgedMs: number }
  >();
  const known = new Set<string>(options.hosts);

  /** Threat: a recorded hello brings back an old key, and makes a dead host look alive. */
  const isRecording = (host: HostName, { time }: Hello): boolean => {
    const nowMs = options.nowMs();
    if (Math.abs(nowMs - Date.parse(time)) > HELLO_MS_OFF_MAX) return true;
    // Both clocks were ahead and are set right: by its time the last hello is newer than all that come for as long, and what is sealed for an
    // agent that has restarted would not open.
    const wasSetBack = nowMs < (registry.heardAtMs(host) ?? nowMs);
    return !wasSetBack && time < (registry.hello(host)?.time ?? '');
  };

  /** A hello introduces its own chain; from then on replies are checked against the leaf it named. */
  const introduce = (host: HostName, bytes: Uint8Array): Hello | undefined => {
    let identity: AgentIdentity | undefined;
    const report = openReport(bytes, (keyid) => {
      const claimed = claimOf(bytes);
      identity = claimed === undefined ? undefined : options.validateAgent(claimed.chain, host);
      return identity?.leafDigest === keyid ? identity.verifier : undefined;
    });
    if (report?.kind !== 'hello' || identity === undefined) return undefined;
    if (report.host !== host || report.domain !== options.domain) return undefined;
    if (isRecording(host, report)) return undefined;
    identities.set(host, { identity, chain: report.chain, judgedMs: options.nowMs() });
    return report;
  };

  const identityOf = (host: HostName): AgentIdentity | undefined => {
    const known = identities.get(host);
    if (known === undefined || Math.abs(options.nowMs() - known.judgedMs) < JUDGED_MS_VALID) return known?.identity;
    const identity = options.validateAgent(known.chain, host);
    if (identity === undefined) identities.delete(host);
    else identities.set(host, { identity, chain: known.chain, judgedMs: options.nowMs() });
    return identity;
  };

  const verifierOf =
    (host: HostName) =>
    (keyid: string): Verifier | undefined => {
      const identity = identityOf(host);
      return identity?.leafDigest === keyid ? identity.verifier : undefined;
    };

  const hear = (host: HostName, bytes: Uint8Array): void => {
    if (bytes.length > REPORT_BYTES_MAX) return;
    const hello = introduce(host, bytes);
    if (hello !== undefined) registry.heard(hello, options.nowMs());
    const report = hello ?? openReport(bytes, verifierOf(host));
    const isRefused = report === undefined || (report.kind === 'hello' && hello === undefined);
    if (isRefused)
      options.log.warn({ host, code: 'REPORT_UNTRUSTED' }, 'report ignored: not signed by this host, or a recording');
    else options.onReport(host, report);
  };

  const subscriptions = options.hosts.map((host) =>
    options.bus.subscribe(`host.${host}.report`, {
      callback: (error, message) => {
        if (error === null) hear(host, message.data);
      },
    }),
  );

  hailHosts(options.bus, options.hosts, () => registry.hailed(options.nowMs()));

  const ask = async (signed: SignedCommand): Promise<Asked> => {
    const { host } = signed.command;
    if (!known.has(host)) return { status: 'silent', text: `host ${host} is not configured` };
    // A host that is silent for long is not waited for again and again: its hello will tell that it is back.
    if (!registry.isUp(host)) return { status: 'silent', text: `host ${host} has not been heard of lately` };
    let bytes: Uint8Array;
    try {
      bytes = (await options.bus.request(`host.${host}.command`, signed.bytes, { timeout: REPLY_MS_MAX })).data;
    } catch (cause) {
      return { status: 'silent', text: `host ${host} did not answer: ${cause instanceof Error ? cause.message : String(cause)}` };
    }
    const report = bytes.length > REPORT_BYTES_MAX ? undefined : openReport(bytes, verifierOf(host));
    // A reply binds itself to the command's payload: an old answer cannot stand for a new question.
    if (report?.kind !== 'reply' || report.command !== signed.digest)
      return { status: 'silent', text: `host ${host} gave no answer to this command that it signed` };
    return report;
  };

  return {
    registry,
    sign: (draft, validMs = COMMAND_MS_VALID) => {
      const now = options.nowMs();
      return signCommand(draft, timestampOf(now + validMs), timestampOf(now), options.signer);
    },
    ask,
    close: () => {
      for (const subscription of subscriptions) subscription.unsubscribe();
    },
  };
}

const timestampOf = (ms: number): Timestamp => timestamp.parse(new Date(ms).toISOString());

/** The chain that an unverified hello claims for itself: looked at only to find out whether it verifies. */
function claimOf(bytes: Uint8Array): Hello | undefined {
  const envelope: unknown = parseOrUndefined(Buffer.from(bytes).toString('utf8'));
  if (typeof envelope !== 'object' || envelope === null || !('payload' in envelope) || typeof envelope.payload !== 'string')
    return undefined;
  const report = readReport(Buffer.from(envelope.payload, 'base64'));
  return report === undefined ? undefined : helloSchema.safeParse(report).data;
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: then it is not an envelope either, and the caller says so.
    return undefined;
  }
}
