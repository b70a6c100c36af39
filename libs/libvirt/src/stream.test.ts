import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type Header, MessageStatus, MessageType } from './message.ts';
import { fakeDaemon } from './testing/fake-daemon.ts';
import { XdrWriter } from './xdr-writer.ts';

const [UPLOAD, DOWNLOAD] = [208, 209] as const;
const VOLUME = { pool: 'p', name: 'v', key: '/v' } as const;

const stream = (header: Header, status: number): Header => ({ ...header, type: MessageType.STREAM, status });
const diskFull = (): Uint8Array => {
  const error = new XdrWriter().int(38).int(18).optionalString('No space left on device').int(2).uint(0);
  return error.uint(0).uint(0).uint(0).int(28).int(0).uint(0).bytes();
};

it('opened after the caller gave up is aborted at the daemon', async () => {
  await using daemon = await fakeDaemon((header, answer) => {
    if (header.procedure === UPLOAD && header.type === MessageType.CALL) setTimeout(() => answer.reply(header), 40);
    return header.procedure === UPLOAD;
  });
  await using conn = await daemon.connect();
  const upload = conn.volumes.upload(VOLUME, [new Uint8Array(10)], { timeoutMs: 10 });
  await expect(upload).rejects.toMatchObject({ code: 'CALL_TIMEOUT', effect: 'unknown' });
  const aborted = (h: Header): boolean => h.type === MessageType.STREAM && h.status === MessageStatus.ERROR;
  await expect.poll(() => daemon.received.some(aborted)).toBe(true);
});

it('told of an error while its source sleeps, an upload ends at once and closes the source', async () => {
  let closed = 0;
  const source = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield new Uint8Array(10);
      await sleep(50);
      yield new Uint8Array(10);
    } finally {
      closed += 1;
    }
  };
  await using daemon = await fakeDaemon((header, answer) => {
    if (header.procedure !== UPLOAD) return false;
    if (header.type === MessageType.CALL) answer.reply(header);
    else answer.send(stream(header, MessageStatus.ERROR), diskFull());
    return true;
  });
  await using conn = await daemon.connect();
  const upload = conn.volumes.upload(VOLUME, source());
  await expect(upload).rejects.toMatchObject({
    code: 'REMOTE',
    effect: 'unknown',
    remote: { code: 38, message: 'No space left on device' },
  });
  await expect.poll(() => closed).toBe(1);
});

it('gives what came before the end, asks for its confirmation, and only then is done', async () => {
  await using daemon = await fakeDaemon((header, answer) => {
    if (header.procedure !== DOWNLOAD) return false;
    if (header.type === MessageType.CALL) {
      answer.reply(header);
      for (const byte of [1, 2, 3]) answer.send(stream(header, MessageStatus.CONTINUE), Uint8Array.of(byte));
      answer.send(stream(header, MessageStatus.CONTINUE));
    } else answer.send(stream(header, MessageStatus.OK));
    return true;
  });
  await using conn = await daemon.connect();
  const bytes: number[] = [];
  for await (const chunk of conn.volumes.download(VOLUME)) bytes.push(...chunk);
  expect(bytes).toEqual([1, 2, 3]);
  const last = daemon.received.at(-1);
  expect([last?.type, last?.status]).toEqual([MessageType.STREAM, MessageStatus.OK]);
});

it('cut off by the daemon, a download is an error, not a short file', async () => {
  await using daemon = await fakeDaemon((header, answer) => {
    if (header.procedure !== DOWNLOAD) return false;
    answer.reply(header);
    answer.send(stream(header, MessageStatus.CONTINUE), Uint8Array.of(1));
    setTimeout(() => answer.hangUp(), 10);
    return true;
  });
  const conn = await daemon.connect();
  const chunks = conn.volumes.download(VOLUME);
  expect(await chunks.next()).toMatchObject({ done: false });
  await expect(chunks.next()).rejects.toMatchObject({ code: 'CONNECTION_LOST', effect: 'unknown' });
});

it('ended unasked is not taken for a whole file', async () => {
  await using daemon = await fakeDaemon((header, answer) => {
    if (header.procedure !== DOWNLOAD) return false;
    answer.reply(header);
    answer.send(stream(header, MessageStatus.OK));
    return true;
  });
  const conn = await daemon.connect();
  await expect(conn.volumes.download(VOLUME).next()).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
});

it('packets of a stream that is gone are ignored; an odd status cuts the connection', async () => {
  await using daemon = await fakeDaemon((header, answer) => {
    if (header.procedure !== DOWNLOAD) return false;
    answer.send(stream({ ...header, serial: 777 }, MessageStatus.CONTINUE), Uint8Array.of(1));
    answer.reply(header);
    answer.send(stream(header, 9));
    return true;
  });
  const conn = await daemon.connect();
  await expect(conn.volumes.download(VOLUME).next()).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
});
