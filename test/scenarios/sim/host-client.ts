import { type Digest, type HostName, timestamp } from '@carnet/events';
import { hostReply } from '@carnet/hypervisor';
import { openCommand } from '../../../apps/agent/src/commands.ts';
import { COMMAND_MS_VALID, type HostClient, REPLY_MS_MAX } from '../../../apps/broker/src/hosts/client.ts';
import { type SignedCommand, signCommand } from '../../../apps/broker/src/hosts/wire.ts';
import type { Custody } from './custody.ts';
import type { Faults } from './faults.ts';
import type { SimHost } from './host.ts';
import { hostOf, type Identity } from './identities.ts';
import type { Life, Scheduler } from './scheduler.ts';

export type ClientOptions = {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly life: Life;
  readonly host: SimHost;
  readonly identity: Identity;
  readonly custody: Custody;
  /** SHA-256 that stands for an agent's certificate on the pretended network. */
  readonly leafOf: (certificate: string) => Digest;
};

const MEAN_MS = 2;

/** Commands to the one host of this CSP: signed, lost, repeated, answered late or never. */
export function simHostClient({ scheduler, faults, life, host, identity, custody, leafOf }: ClientOptions): HostClient {
  const name = hostOf(identity.domain);
  const hello = {
    chain: [...identity.agent.chain],
    publicKey: custody.hostKey(name),
    capacity: { memoryMiBFree: 65_536 },
    vms: [],
  };
  const registry = {
    heard: () => undefined,
    hello: (of: string) => (of === name ? hello : undefined),
    heardAtMs: () => scheduler.nowMs(),
    isUp: (of: string) => of === name,
    hailed: () => undefined,
    isSettled: () => true,
  };
  const arrive = async (signed: SignedCommand) => {
    const opened = openCommand(signed.bytes, (keyid) =>
      keyid === identity.command.signer.keyid ? identity.command.verifier : undefined,
    );
    if ('rejected' in opened) throw new Error(`impossible: a command of ours is ${opened.rejected}`);
    if (host.life.dead) return new Promise<never>(() => undefined);
    return scheduler.within(host.life, () => host.agent.handle(opened.command, opened.digest));
  };
  return {
    // A hello of a real agent says more; nothing that is asked here.
    registry: registry as unknown as HostClient['registry'],
    sign: (draft, validMs = COMMAND_MS_VALID) => {
      const pinned = 'peer' in draft.body ? { ...draft, body: { ...draft.body, peer: draft.body.peer.map(leafOf) } } : draft;
      const at = (ms: number) => timestamp.parse(new Date(scheduler.nowMs() + life.skewMs + ms).toISOString());
      return signCommand(pinned as typeof draft, at(validMs), at(0), identity.command.signer);
    },
    ask: (signed) =>
      new Promise((resolve) => {
        const silent = { status: 'silent' as const, text: 'no answer' };
        scheduler.at(scheduler.elapsedMs() + REPLY_MS_MAX, () => resolve(silent), life);
        const fate = faults.fate('host call', ['not-done', 'unreported', 'twice', 'never']);
        if (fate === 'not-done') return;
        const times = fate === 'twice' ? 2 : 1;
        for (let i = 0; i < times; i += 1) {
          // A command that is under way arrives, whatever became of who sent it.
          const heldBackMs = faults.heldBackMs();
          const delay = scheduler.latency(MEAN_MS) + faults.extraDelayMs() + i * scheduler.latency(2_000) + heldBackMs;
          if (heldBackMs > 0) host.lastCommandMs = Math.max(host.lastCommandMs, scheduler.elapsedMs() + delay);
          scheduler.at(scheduler.elapsedMs() + delay, () => {
            void arrive(signed).then((reply) => {
              if (fate === 'unreported' || fate === 'never') return;
              scheduler.at(
                scheduler.elapsedMs() + scheduler.latency(MEAN_MS),
                () => resolve(hostReply.parse(JSON.parse(JSON.stringify(reply)))),
                life,
              );
            });
          });
        }
      }),
    close: () => undefined,
  };
}

export const nameOf = (host: SimHost): HostName => hostOf(host.domain);
