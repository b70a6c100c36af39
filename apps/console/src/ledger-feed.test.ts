import { afterEach, describe, expect, it } from 'vitest';
import { type LedgerFeed, startLedgerFeed } from './ledger-feed.ts';
import { entry, type ScriptedClient, scriptedClient, silentLog } from './testing/scripted.ts';

let feed: LedgerFeed | undefined;
afterEach(() => feed?.stop());

const start = (broker: ScriptedClient): LedgerFeed => {
  feed = startLedgerFeed({ broker, log: silentLog, now: () => new Date(), probeMs: 10 });
  return feed;
};

describe('ledger feed', () => {
  it('reads from the beginning, tells of each entry, and becomes live', async () => {
    const broker = scriptedClient();
    broker.publish(entry(1, 'KeyAnnounced'));
    const { recent, health, onChange } = start(broker);
    let changes = 0;
    onChange(() => {
      changes += 1;
    });
    broker.publish(entry(2));
    await expect.poll(() => recent.end).toBe(2);
    expect(changes).toBeGreaterThanOrEqual(2);
    expect(broker.followedFrom).toEqual(['']);
    expect(recent.keyEvents).toEqual([entry(1, 'KeyAnnounced')]);
    await expect.poll(() => health().state).toBe('live');
  });

  it('becomes stale when the broker does not answer, and says why and since when; then follows on from its cursor', async () => {
    const broker = scriptedClient();
    broker.publish(entry(1));
    const { recent, health } = start(broker);
    await expect.poll(() => health().state).toBe('live');
    await expect.poll(() => recent.end).toBe(1);
    broker.answers({ ok: false, code: 'UNREACHABLE', text: 'connection refused' });
    await expect.poll(health).toMatchObject({ state: 'stale', text: 'UNREACHABLE: connection refused' });
    expect(health().heardAt).toBeDefined();
    broker.answers({ ok: true, value: { items: [] } });
    await expect.poll(() => health().state).toBe('live');
    expect(health().text).toBeUndefined();
    broker.publish(entry(2));
    await expect.poll(() => recent.end).toBe(2);
    expect(new Set(broker.followedFrom)).toEqual(new Set(['', '1.0']));
  });

  it('stops', async () => {
    const own = start(scriptedClient());
    await own.stop();
    feed = undefined;
  });
});
