import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, runAs, scratch, startHost } from '@carnet/dev';
import type { Connection } from '@carnet/libvirt';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { quickClock } from '../testing/drive.ts';
import { type Link, type LinkListener, openLink } from './link.ts';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
/** A real daemon answers a farewell in milliseconds. */
const CLOSE_MS_MAX = 10_000;

let machine: Host;
beforeAll(async () => {
  machine = await startHost({
    dir: join(scratch('link'), 'h'),
    name: 'h',
    user: runAs().identity.name,
    hostUuid: '00000001-aaaa-4bbb-8ccc-000000000001',
  });
});
afterAll(() => machine?.stop());

const linkTo = (listener: Partial<LinkListener>): Link =>
  openLink(
    {
      transport: { kind: 'unix', path: machine.socket },
      uri: 'qemu:///session',
      clock: { ...quickClock, sleep: (ms, signal) => sleep(ms, undefined, { signal }) },
      random: () => 0,
      log,
    },
    { prepare: async () => undefined, live: () => undefined, lost: () => undefined, ...listener },
  );

const endsInTime = async (work: Promise<unknown>): Promise<boolean> => {
  const given = new AbortController();
  const late = sleep(CLOSE_MS_MAX, false, { signal: given.signal }).catch(() => false);
  const inTime = await Promise.race([work.then(() => true), late]);
  given.abort();
  return inTime;
};

it('that is closed while a connection is being prepared ends, and its connection with it', async () => {
  const preparing = Promise.withResolvers<Connection>();
  const link = linkTo({
    prepare: async (connection) => {
      preparing.resolve(connection);
      // As a call that the daemon does not answer.
      throw await connection.ended;
    },
  });
  const connection = await preparing.promise;
  expect(await endsInTime(link.close())).toBe(true);
  expect(await endsInTime(connection.ended)).toBe(true);
});

it('that is closed before it has a connection ends', async () => {
  expect(await endsInTime(linkTo({}).close())).toBe(true);
});

it('keeps no connection that could not be prepared, and has another one soon', async () => {
  const connections: Connection[] = [];
  const link = linkTo({
    prepare: async (connection) => {
      connections.push(connection);
      if (connections.length === 1) throw new Error('not this one');
    },
  });
  expect(await link.use(async ({ libVersion }) => libVersion > 0n)).toBe(true);
  expect(connections.length).toBe(2);
  expect(await endsInTime(connections[0]?.ended ?? Promise.reject(new Error('none')))).toBe(true);
  expect(link.status().connected).toBe(true);
  expect(await endsInTime(link.close())).toBe(true);
});
