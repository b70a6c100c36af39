import { epoch, GENESIS, migrationId, trustDomain, vmId } from '@carnet/events';
import type { Command } from '@carnet/saga';
import { pino } from 'pino';
import type { JourneyKey } from '../agenda.ts';
import type { LoopPorts, Outcome, Owed } from '../loop.ts';
import { createMetrics } from '../metrics.ts';

export const JOURNEY: JourneyKey = { vm: 'csp-a.example/1b4e28ba-2fa1-41d2-883f-0016d3cca427', peer: 'csp-b.example' };
export const journey = (n: number): JourneyKey => ({ ...JOURNEY, vm: `vm ${n}` });

/** Something owed: the loop looks at nothing of it but its name. */
const command = (type: 'Finalize'): Command => {
  const migration = migrationId.parse('01970001-0000-7000-8000-000000000000');
  const fact = { digest: GENESIS, time: '', causes: [], data: {} };
  const facts = { MigrationIntended: fact, VmHealthy: fact, VolumeRekeyed: fact };
  const of = {
    migration,
    vm: vmId.parse(JOURNEY.vm),
    epoch: epoch.parse(1),
    mode: 'cold',
    peer: trustDomain.parse(JOURNEY.peer),
  };
  // A command's facts are large, and nobody here reads them.
  return { type, ...of, because: GENESIS, facts } as unknown as Command;
};

export const WORK: Owed = { commands: [command('Finalize')], open: true, urgent: false, wakeAtMs: undefined };
export const WAITING: Owed = { commands: [], open: true, urgent: false, wakeAtMs: undefined };
export const SETTLED: Owed = { commands: [], open: false, urgent: false, wakeAtMs: undefined };
export const RECORDED: Outcome = { kind: 'recorded' };
export const FAILED: Outcome = { kind: 'failed', code: 'HOST_UNAVAILABLE', text: 'no answer' };

/** A world in which nothing is owed until a test says so. */
export function fakeWorld(parts: Partial<LoopPorts> = {}) {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const leased = new Set<string>();
  const ports: LoopPorts = {
    open: async () => [],
    owed: async () => WAITING,
    perform: async () => RECORDED,
    lease: async ({ vm }) => {
      if (leased.has(vm)) return undefined;
      leased.add(vm);
      return { signal: new AbortController().signal, release: async () => void leased.delete(vm) };
    },
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    log,
    metrics: createMetrics(),
    ...parts,
  };
  return { ports, lines, leased };
}
