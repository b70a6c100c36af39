import { CRL_RECHECK_MS } from '@carnet/pki';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { A, B } from '../perform/testing/certified.ts';
import { watchPeers } from './watch.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('says once what became of a peer’s certificate, and tells of changed lists; a failed look is done again', async () => {
  const said: object[] = [];
  const log = {
    debug: () => undefined,
    info: (fields: object) => void said.push(['info', fields]),
    warn: () => void said.push(['warn']),
    error: (fields: object) => void said.push(['error', fields]),
  };
  let verdict: () => Promise<object | undefined> = async () => undefined;
  let crls: readonly Uint8Array[] = [];
  let changes = 0;
  const watch = watchPeers({
    journal: { peers: [A, B], standing: async (peer: string) => (peer === A ? verdict() : undefined) } as never,
    trust: () => ({ roots: [], crls }),
    changed: () => {
      changes += 1;
    },
    log: log as never,
  });
  const look = () => vi.advanceTimersByTimeAsync(CRL_RECHECK_MS);
  await look();
  expect([said, changes]).toEqual([[], 0]);
  crls = [new Uint8Array(1)];
  verdict = async () => ({ ok: false, code: 'REVOKED', text: '' });
  await look();
  await look();
  expect([said, changes]).toEqual([[['error', { peer: A, code: 'REVOKED' }]], 1]);
  verdict = async () => {
    throw new Error('no database');
  };
  await look();
  expect(said.at(-1)).toEqual(['warn']);
  verdict = async () => ({ ok: true, value: {} });
  await look();
  expect(said.at(-1)).toEqual(['info', { peer: A }]);
  await watch.stop();
  verdict = async () => ({ ok: false, code: 'REVOKED', text: '' });
  await look();
  expect(said.at(-1)).toEqual(['info', { peer: A }]);
});

it('gathers no looks behind a database that does not answer', async () => {
  let asked = 0;
  const answer = Promise.withResolvers<undefined>();
  const standing = () => {
    asked += 1;
    return answer.promise;
  };
  const watch = watchPeers({
    journal: { peers: [A], standing } as never,
    trust: () => ({ roots: [], crls: [] }),
    changed: () => undefined,
    log: { warn: () => undefined } as never,
  });
  await vi.advanceTimersByTimeAsync(50 * CRL_RECHECK_MS);
  expect(asked).toBe(1);
  answer.resolve(undefined);
  await vi.advanceTimersByTimeAsync(CRL_RECHECK_MS);
  expect(asked).toBe(2);
  await watch.stop();
});
