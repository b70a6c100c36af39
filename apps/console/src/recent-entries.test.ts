import { describe, expect, it } from 'vitest';
import { KEY_EVENTS_PER_LEDGER_MAX, RECENT_ENTRIES_MAX } from './limits.ts';
import { RecentEntries } from './recent-entries.ts';
import { entry } from './testing/scripted.ts';

const filled = (count: number): RecentEntries => {
  const recent = new RecentEntries();
  for (let n = 1; n <= count; n++) recent.add(entry(n));
  return recent;
};

describe('recent entries', () => {
  it('go on after a cursor', () => {
    const recent = filled(5);
    const reading = recent.from(recent.after('3.0') ?? -1);
    expect(reading).toMatchObject({ kind: 'entries', entries: [{ cursor: '4.0' }, { cursor: '5.0' }], next: 5 });
    expect(recent.from(5)).toEqual({ kind: 'entries', entries: [], next: 5 });
  });

  it('say what was lost: dropped, or never known', () => {
    const recent = filled(RECENT_ENTRIES_MAX + 10);
    expect(recent.after('5.0')).toBeUndefined();
    expect(recent.from(5)).toEqual({ kind: 'lost', next: RECENT_ENTRIES_MAX + 10 });
    expect(recent.from(10)).toMatchObject({ kind: 'entries', next: RECENT_ENTRIES_MAX + 10 });
  });

  it('stay bounded when a peer sends only large ones', () => {
    const recent = new RecentEntries();
    for (let n = 1; n <= 100; n++) recent.add({ ...entry(n), publisher: 'x'.repeat(1_000_000) });
    const reading = recent.from(recent.end - 20);
    expect(reading.kind).toBe('entries');
    expect(recent.from(0).kind).toBe('lost');
  });

  it('keep what concerns keys, however old, once, and bounded', () => {
    const recent = new RecentEntries();
    recent.add(entry(1, 'KeyAnnounced'));
    for (let n = 2; n <= RECENT_ENTRIES_MAX + 10; n++) recent.add(entry(n));
    recent.add({ ...entry(1, 'KeyAnnounced'), cursor: '1.7' });
    expect(recent.keyEvents).toEqual([entry(1, 'KeyAnnounced')]);
    for (let n = 0; n < KEY_EVENTS_PER_LEDGER_MAX + 5; n++) recent.add(entry(10_000 + n, 'KeyRevoked'));
    expect(recent.keyEvents).toHaveLength(KEY_EVENTS_PER_LEDGER_MAX);
  });
});
