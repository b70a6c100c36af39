import { type HostName, hostName } from '@carnet/events';
import type { Hello } from '@carnet/hypervisor';
import type { Journey } from '@carnet/saga';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { CSP_A, given, VM } from '../../../libs/saga/src/testing.ts';
import { letGoOfHeld } from './held-still.ts';

const HOST = hostName.parse('host-1');
const HELD = { epoch: 1, standing: 'mine', vcpus: 'held', role: 'source' } as const;
const says = (fence: object, host: HostName = HOST) =>
  ({ kind: 'hello', host, vms: [{ vm: VM, state: 'shutoff', fence }] }) as unknown as Hello;
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A source that withdrew before it knew that its target was ready: nothing says that it has stopped the VM. */
function withdrawn(): Journey {
  const { journey } = given('DepositAcknowledged').a;
  return {
    ...journey,
    migrations: journey.migrations.map((m) => ({
      ...m,
      sourcePhase: 'withdrawn',
      facts: { ...m.facts, MigrationWithdrawn: { ...m.facts.MigrationIntended, causes: [] } },
    })),
  } as unknown as Journey;
}

function world(journey: Journey, host = HOST) {
  const asked: object[] = [];
  const ports = {
    self: CSP_A,
    inventory: { vm: async () => ({ vm: VM, host, epoch: 0 }) },
    ledgers: { journeys: async () => [journey] },
    alone: async (_: unknown, work: () => Promise<unknown>) => ({ held: true, value: await work() }),
    keys: { secretForHost: async (_: object, key: string) => ({ key, sealed: 'c2VjcmV0' }) },
    hosts: {
      step: async (of: object, step: string, body: () => Promise<object>) => {
        asked.push({ ...of, step, ...(await body()) });
        return { kind: 'done', result: { step: 'resume', ran: true } };
      },
    },
  } as unknown as Parameters<typeof letGoOfHeld>[0];
  return { heard: letGoOfHeld(ports, pino({ level: 'silent' })), asked };
}

describe('a VM that its host holds still', () => {
  it('for a move that was withdrawn goes on, by the withdrawal, once for all hellos at a time', async () => {
    const { heard, asked } = world(withdrawn());
    for (let i = 0; i < 3; i += 1) heard(HOST, says(HELD));
    await settled();
    const event = withdrawn().migrations[0]?.facts.MigrationWithdrawn?.digest;
    expect(asked).toMatchObject([{ host: HOST, vm: VM, epoch: 1, step: 'resume', proof: { kind: 'withdrawn', event } }]);
  });

  it.each<readonly [string, Journey, object]>([
    ['for a move that is under way', given('SourceQuiesced').a.journey, HELD],
    ['for another epoch', withdrawn(), { ...HELD, epoch: 2 }],
    ['because it has just arrived', withdrawn(), { ...HELD, role: 'target' }],
    ['no more, for it was given away', withdrawn(), { ...HELD, standing: 'surrendered' }],
    ['not at all', withdrawn(), { ...HELD, vcpus: 'may-run' }],
  ])('%s is left alone', async (_, journey, fence) => {
    const { heard, asked } = world(journey);
    heard(HOST, says(fence));
    await settled();
    expect(asked).toEqual([]);
  });

  it('and is another host’s is left alone', async () => {
    const { heard, asked } = world(withdrawn(), hostName.parse('host-2'));
    heard(HOST, says(HELD));
    await settled();
    expect(asked).toEqual([]);
  });
});
