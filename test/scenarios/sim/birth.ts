import { timestamp, type VmSpec } from '@carnet/events';
import type { HostReply } from '@carnet/hypervisor';
import { type CommandDraft, signCommand } from '../../../apps/broker/src/hosts/wire.ts';
import { machineOf } from '../../../apps/broker/src/perform/context.ts';
import { DISK_KEY, SPEC, VM } from '../../../libs/saga/src/testing.ts';
import type { Csp } from './csp.ts';
import { hostOf } from './identities.ts';
import type { Scheduler } from './scheduler.ts';

/** Each knows the others' event keys, as after an agreement. */
export async function introduce(
  scheduler: Scheduler,
  csps: readonly Csp[],
  until: (ms: number, done: () => boolean) => Promise<void>,
): Promise<void> {
  for (const csp of csps) {
    const replica = csp.replicas[0];
    if (replica === undefined) throw new Error(`${csp.domain} has not started`);
    for (const peer of csps)
      if (peer !== csp)
        void scheduler.within(replica.life, () =>
          replica.journal.append(peer.domain, async () => ({ drafts: [], announce: true, value: null })),
        );
  }
  await scheduler.settle();
  const ledgers = csps.length * (csps.length - 1);
  const known = (): boolean =>
    csps.every(
      ({ database }) => database.rows('select publisher from ledgers where head_seq > 0').length === (ledgers * 2) / csps.length,
    );
  await until(scheduler.elapsedMs() + 30_000, known);
  if (!known()) throw new Error('the CSPs were not introduced');
}

/** One VM, running at the first CSP. */
export async function giveBirth(
  scheduler: Scheduler,
  csps: readonly Csp[],
  until: (ms: number, done: () => boolean) => Promise<void>,
  spec: VmSpec = SPEC,
): Promise<void> {
  const [home] = csps;
  const replica = home?.replicas[0];
  if (home === undefined || replica === undefined) throw new Error('no CSP has started');
  let born = false;
  const ask = async (step: string, body: object): Promise<void> => {
    const reply = await order(scheduler, home, step, body);
    if (reply.status !== 'done') throw new Error(JSON.stringify(reply));
  };
  const work = scheduler.within(replica.life, async () => {
    await replica.createKey();
    const by = { reason: 'VM_CREATE', principal: `spiffe://${home.domain}/operator` } as const;
    const to = { host: hostOf(home.domain), vm: VM, epoch: 0, purpose: 'run', by } as const;
    const secret = () => replica.context.keys.secretForHost(to, DISK_KEY);
    await ask('createVm', { spec: machineOf(spec), secrets: [await secret()] });
    await ask('startVm', { secrets: [await secret()], epoch: 0 });
    const rows = home.database.connect(
      async () => undefined,
      () => undefined,
    );
    await replica.context.inventory.add(rows, { vm: VM, spec, host: hostOf(home.domain), epoch: 0 });
    born = true;
  });
  let failure: unknown;
  work.catch((cause: unknown) => {
    failure = cause;
  });
  await scheduler.settle();
  await until(scheduler.elapsedMs() + 60_000, () => born || failure !== undefined);
  if (!born) throw new Error(`the VM was not born: ${String(failure)}`);
}

/** A command to a host outside of any migration, as an operator gives it. */
export function order(scheduler: Scheduler, csp: Csp, step: string, body: object): Promise<HostReply> {
  const at = (ms: number) => timestamp.parse(new Date(scheduler.nowMs() + ms).toISOString());
  const draft = { host: hostOf(csp.domain), step, vm: VM, body } as CommandDraft;
  const { command } = signCommand(draft, at(600_000), at(0), csp.identity.command.signer);
  return scheduler.within(csp.host.life, () => csp.host.agent.handle(command));
}
