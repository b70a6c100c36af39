import { hostName } from '@carnet/events';
import type { Status } from 'nats';
import { expect, test } from 'vitest';
import { hailHosts } from './hail.ts';

test('hosts are hailed at the start and after each reconnection, not after anything else', async () => {
  const hailed: string[] = [];
  let times = 0;
  const ended = Promise.withResolvers<void>();
  async function* status(): AsyncGenerator<Status> {
    const server = 'tls://bus.example:4222';
    for (const type of ['disconnect', 'reconnect', 'reconnecting', 'reconnect'] as const) yield { type, server };
    ended.resolve();
  }
  const hosts = [hostName.parse('hv1'), hostName.parse('hv2')];
  hailHosts({ publish: (subject) => void hailed.push(subject), status }, hosts, () => void times++);
  const round = ['host.hv1.hail', 'host.hv2.hail'];
  expect(hailed).toEqual(round);
  await ended.promise;
  expect(hailed).toEqual([...round, ...round, ...round]);
  expect(times, 'each time the registry learns of it').toBe(3);
});
