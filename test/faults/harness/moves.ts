import { randomBytes, randomUUID } from 'node:crypto';
import { uuidv7 } from '@carnet/events';
import type { Answer, BrokerClient } from '@carnet/publisher';
import type { Cloud } from './cloud.ts';

export type Mode = 'cold' | 'suspend';
export type Vm = { readonly vm: string; readonly uuid: string };
type Row = {
  readonly migration: string;
  readonly ended: boolean;
  readonly outcome: string;
  readonly sourcePhase: string;
  readonly targetPhase: string;
};

export const newMigration = (): string => uuidv7(Date.now(), randomBytes(10));

/** The value of an answer that must not be a refusal. */
export function must<T>(answer: Answer<T>): T {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.text} ${JSON.stringify(answer.reasons ?? [])}`);
  return answer.value;
}

export const MEMORY_MIB = 64;

/** A running VM on an encrypted disk, made through the operator's door. */
export async function createVm(at: Cloud, memoryMiB = MEMORY_MIB, project?: string): Promise<Vm> {
  const of = project === undefined ? {} : { project };
  const body = { name: `vm-${randomUUID()}`, ...of, capacityBytes: 1_048_576, memoryMiB, boot: { kind: 'disk' }, start: true };
  const { vm } = must(await at.api.act<{ readonly vm: string }>('POST', '/v1/vms', body));
  return { vm, uuid: vm.split('/')[1] ?? '' };
}

export const intentOf = (vm: string, target: string, mode: Mode, migration = newMigration(), more: object = {}) => ({
  specversion: '1.0',
  id: randomUUID(),
  source: 'test',
  type: 'dev.carnet.migration.intent.v1',
  data: { migration, vm, target, mode, ...more },
});

export async function intend(from: Cloud, to: Cloud, { vm }: Vm, mode: Mode, api: BrokerClient = from.api): Promise<string> {
  const { migration } = must(await api.post<{ readonly migration: string }>('/v1/intents', intentOf(vm, to.plan.domain, mode)));
  return migration;
}

/** Asked seldom: brokers under test have better things to do, and a dead one makes the asker wait. */
const LOOK_MS = 200;

/** Both sides say that it has ended, and alike. */
export async function settled(
  clouds: { readonly a: Pick<Cloud, 'api'>; readonly b: Pick<Cloud, 'api'> },
  migration: string,
  msMax: number,
): Promise<Row> {
  const untilMs = performance.now() + msMax;
  let last = '';
  while (performance.now() < untilMs) {
    const [atA, atB] = await Promise.all([clouds.a, clouds.b].map(({ api }) => api.get<Row>(`/v1/migrations/${migration}`)));
    if (atA?.ok === true && atB?.ok === true && atA.value.ended && atB.value.ended && atA.value.outcome === atB.value.outcome)
      return atA.value;
    last = [atA, atB].map((answer) => (answer?.ok === true ? JSON.stringify(answer.value) : answer?.code)).join(' | ');
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new Error(`${migration} has not ended at both sides within ${msMax} ms: ${last}`);
}
