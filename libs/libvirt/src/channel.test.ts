import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibvirtError } from './error.ts';
import { CALLS_IN_FLIGHT_MAX, CALLS_QUEUED_MAX } from './limits.ts';
import { type Header, MessageStatus, MessageType, Program } from './message.ts';
import { type Answer, fakeDaemon, type Script } from './testing/fake-daemon.ts';
import { XdrWriter } from './xdr-writer.ts';

const [LIST, LOOKUP, ABORT, REGISTER, DEREGISTER, LIFECYCLE] = [273, 23, 164, 316, 317, 318];
const UUID = '33333333-3333-4333-8333-333333333333';
const DOMAIN = { name: 'vm1', uuid: UUID, id: 1 } as const;

const silent = (...procedures: readonly (number | undefined)[]): Script => {
  return ({ procedure }) => procedures.includes(procedure);
};
const emptyList = (w: XdrWriter): XdrWriter => w.uint(0).uint(0);

describe('opening', () => {
  it('refuses a daemon that wants authentication', async () => {
    await using daemon = await fakeDaemon((header, answer) => {
      if (header.procedure !== 66) return false;
      answer.reply(header, (w) => w.uint(2).int(1).int(2));
      return true;
    });
    await expect(daemon.connect()).rejects.toMatchObject({ code: 'AUTH_UNSUPPORTED' });
    expect(daemon.received.map(({ procedure }) => procedure)).toEqual([66]);
  });

  it('refuses a daemon too old', async () => {
    await using daemon = await fakeDaemon((header, answer) => {
      if (header.procedure !== 157) return false;
      answer.reply(header, (w) => w.uhyper(5_999_999n));
      return true;
    });
    await expect(daemon.connect()).rejects.toMatchObject({ code: 'VERSION_UNSUPPORTED' });
  });

  it('gives up on a daemon that never answers, by time or by signal', async () => {
    await using daemon = await fakeDaemon(() => true);
    await expect(daemon.connect({ connectTimeoutMs: 30 })).rejects.toMatchObject({ code: 'CALL_TIMEOUT' });
    await expect(daemon.connect({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CALL_ABORTED' });
    const soon = AbortSignal.timeout(30);
    await expect(daemon.connect({ signal: soon })).rejects.toMatchObject({ code: 'CALL_TIMEOUT' });
  });
});

describe('calls', () => {
  it('keep one place free of what the daemon allows, in order; abort passes the queue', async () => {
    const held: [Header, Answer][] = [];
    await using daemon = await fakeDaemon((header, answer) => {
      if (header.procedure === ABORT) answer.reply(header);
      if (header.procedure === LIST) held.push([header, answer]);
      return header.procedure === ABORT || header.procedure === LIST;
    });
    await using conn = await daemon.connect();
    const order: number[] = [];
    const calls = Array.from({ length: 6 }, async (_, index) => {
      await conn.domains.list();
      order.push(index);
    });
    await conn.jobs.abort(DOMAIN);
    expect(held).toHaveLength(4);
    for (let turn = 0; turn < 6; turn += 1) {
      const [header, answer] = held[turn] ?? [];
      if (header) answer?.reply(header, emptyList);
      await sleep(5);
    }
    await Promise.all(calls);
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('aborted or out of time while they wait were never sent, and say so', async () => {
    await using daemon = await fakeDaemon(silent(LIST));
    const conn = await daemon.connect();
    const sent = Promise.allSettled(Array.from({ length: 4 }, () => conn.domains.list()));
    const waiting = conn.domains.lookupByName('vm1', { timeoutMs: 20 });
    await expect(waiting).rejects.toMatchObject({ code: 'CALL_TIMEOUT', effect: 'none' });
    const aborted = conn.domains.lookupByName('vm1', { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: 'CALL_ABORTED', effect: 'none' });
    await conn.close();
    expect((await sent).map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual(
      Array.from({ length: 4 }, () => 'CONNECTION_CLOSED'),
    );
    expect(daemon.received.some(({ procedure }) => procedure === LOOKUP)).toBe(false);
  });

  it('beyond the longest queue are refused unsent', async () => {
    await using daemon = await fakeDaemon(silent(LIST));
    const conn = await daemon.connect();
    const all = Promise.allSettled(Array.from({ length: CALLS_IN_FLIGHT_MAX + CALLS_QUEUED_MAX }, () => conn.domains.list()));
    await expect(conn.domains.list()).rejects.toMatchObject({ code: 'QUEUE_FULL', effect: 'none' });
    await conn.close();
    await all;
  });

  it('end with the connection, whether the daemon hangs up or talks nonsense', async () => {
    const nonsense: readonly (readonly [string, (header: Header, answer: Answer) => void, string])[] = [
      ['hangs up', (_, answer) => answer.hangUp(), 'CONNECTION_LOST'],
      ['an impossible length', (_, answer) => answer.raw(new Uint8Array(4)), 'PROTOCOL_VIOLATION'],
      ['a reply to nobody', (header, answer) => answer.reply({ ...header, serial: 999 }), 'PROTOCOL_VIOLATION'],
      [
        'a reply of another procedure',
        (header, answer) => answer.reply({ ...header, procedure: LOOKUP ?? 0 }),
        'PROTOCOL_VIOLATION',
      ],
      ['a reply cut short', (header, answer) => answer.reply(header, (w) => w.uint(1)), 'PROTOCOL_VIOLATION'],
      ['a reply too long', (header, answer) => answer.reply(header, (w) => emptyList(w).uint(7)), 'PROTOCOL_VIOLATION'],
      ['a call to us', (header, answer) => answer.send({ ...header, type: MessageType.CALL }), 'PROTOCOL_VIOLATION'],
      ['an odd status', (header, answer) => answer.send({ ...header, type: MessageType.REPLY, status: 7 }), 'PROTOCOL_VIOLATION'],
    ];
    for (const [what, act, code] of nonsense) {
      await using daemon = await fakeDaemon((header, answer) => {
        if (header.procedure === LIST) act(header, answer);
        return header.procedure === LIST;
      });
      const conn = await daemon.connect();
      await expect(conn.domains.list(), what).rejects.toMatchObject({ code, effect: 'unknown' });
      expect((await conn.ended).code, what).toBe(code);
      await expect(conn.domains.list(), what).rejects.toMatchObject({ code, effect: 'none' });
    }
  });

  it('survive any bytes at all: an error of ours, never a hang or a crash', async () => {
    let bytes = new Uint8Array();
    await using daemon = await fakeDaemon((header, answer) => {
      if (header.procedure !== LIST) return false;
      // Half of them inside a well-formed frame, so that the decoder behind it is reached too.
      if (bytes.length % 2 === 0) answer.raw(bytes);
      else answer.reply(header, (w) => w.fixed(bytes));
      answer.hangUp();
      return true;
    });
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 120 }), async (random) => {
      bytes = random;
      const conn = await daemon.connect();
      const [outcome] = await Promise.allSettled([conn.domains.list()]);
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(LibvirtError);
      await conn.close();
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('closing twice is closing once, even when the daemon ignores the farewell', async () => {
    await using daemon = await fakeDaemon((header, answer) => {
      if (header.procedure === 2) answer.hangUp();
      return header.procedure === 2;
    });
    const conn = await daemon.connect();
    await Promise.all([conn.close(), conn.close()]);
    await conn.close();
    await expect(conn.domains.list()).rejects.toMatchObject({ effect: 'none' });
  });
});

describe('notices', () => {
  const lifecycle = (header: Header, callbackId: number): [Header, Uint8Array] => {
    const payload = new XdrWriter().int(callbackId).string('vm1').uuid(UUID).int(1).int(2).int(0).bytes();
    return [{ ...header, procedure: LIFECYCLE ?? 0, type: MessageType.MESSAGE, serial: 0, status: MessageStatus.OK }, payload];
  };

  it('right behind the registration are not missed; foreign ones are ignored', async () => {
    await using daemon = await fakeDaemon((header, answer) => {
      if (header.procedure !== REGISTER) return header.procedure === DEREGISTER;
      answer.reply(header, (w) => w.int(5));
      answer.send(...lifecycle(header, 5));
      answer.send(...lifecycle(header, 6));
      answer.send({ ...header, procedure: 362, type: MessageType.MESSAGE, serial: 0 });
      return true;
    });
    const conn = await daemon.connect();
    const seen: unknown[] = [];
    await conn.events.subscribe('lifecycle', (notice) => seen.push(notice));
    await sleep(10);
    expect(seen).toEqual([{ domain: DOMAIN, event: 'started', detail: 'booted' }]);
    await conn.close();
  });

  it('registered too late for their caller are deregistered', async () => {
    await using daemon = await fakeDaemon((header, answer) => {
      if (header.procedure === REGISTER) setTimeout(() => answer.reply(header, (w) => w.int(5)), 40);
      return header.procedure === REGISTER;
    });
    await using conn = await daemon.connect();
    const subscription = conn.events.subscribe('lifecycle', () => undefined, { timeoutMs: 10 });
    await expect(subscription).rejects.toMatchObject({ code: 'CALL_TIMEOUT' });
    await expect.poll(() => daemon.received.some(({ procedure }) => procedure === DEREGISTER)).toBe(true);
  });
});

describe('keepalive', () => {
  it('answers a ping with a pong', async () => {
    await using daemon = await fakeDaemon((header, answer) => {
      if (header.procedure !== LIST) return false;
      answer.send({ program: Program.KEEPALIVE, version: 1, procedure: 1, type: MessageType.MESSAGE, serial: 0, status: 0 });
      answer.reply(header, emptyList);
      return true;
    });
    await using conn = await daemon.connect();
    await conn.domains.list();
    await expect.poll(() => daemon.received.some((h) => h.program === Program.KEEPALIVE && h.procedure === 2)).toBe(true);
  });

  it('pings only into silence, and ends a connection that stays silent', async () => {
    await using daemon = await fakeDaemon(silent(LIST));
    const conn = await daemon.connect({ keepalive: { intervalMs: 20, count: 2 } });
    await expect(conn.domains.list()).rejects.toMatchObject({ code: 'KEEPALIVE_TIMEOUT', effect: 'unknown' });
    expect(daemon.received.filter((h) => h.program === Program.KEEPALIVE)).toHaveLength(2);
  });
});
