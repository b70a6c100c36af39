import { type Digest, digest, keyId, migrationId, type TrustDomain, trustDomain } from '@carnet/events';
import type { Notice, PlacedEvent } from '@carnet/journal';
import type { KeyRecord, OwnWord } from '@carnet/keys';
import type { MigrationState } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import { type OwnWordPorts, openOwnWords } from './own-words.ts';

const [A, B, C] = ['a', 'b', 'c'].map((name) => trustDomain.parse(`csp-${name}.example`)) as [
  TrustDomain,
  TrustDomain,
  TrustDomain,
];
const KEY = keyId.parse('11111111-1111-4111-8111-111111111111');
const OTHER = keyId.parse('22222222-2222-4222-8222-222222222222');
const MIGRATION = migrationId.parse('01936ad4-0000-7000-8000-000000000001');
const at = (minute: number): string => `2026-11-23T10:0${minute}:00.000Z`;
const digestOf = (n: number): Digest => digest.parse(String(n).padStart(64, '0'));

/** B's words: to whom, at which position, of which minute, and of which key. */
type Said = { readonly to: TrustDomain; readonly seq: number; readonly minute: number; readonly key?: typeof KEY };
const eventOf = ({ to, seq, minute, key = KEY }: Said): PlacedEvent => {
  const data = {
    key,
    version: 1,
    migration: MIGRATION,
    from: 'active',
    to: 'compromised',
    reason: 'key-compromise',
    at: at(minute),
  };
  const event = { publisher: B, audience: to, seq: String(seq), type: 'KeyStateChanged', data };
  return { event, placement: event, digest: digestOf(minute) } as unknown as PlacedEvent;
};
const noticeOf = ({ to, seq }: Pick<Said, 'to' | 'seq'>, publisher = B): Notice =>
  ({ publisher, audience: to, seq, type: 'KeyStateChanged' }) as unknown as Notice;

type World = {
  readonly said: Said[];
  readonly holdings?: readonly object[];
  /** When B imported what MIGRATION brought, by its ledger. */
  readonly imported?: number;
  /** What `keepWord` answers, in order; then `changed`. */
  readonly answers?: ('changed' | 'kept' | 'waits' | 'fails')[];
  /** Minutes of words whose row says that they are owed. */
  readonly owed?: readonly number[];
};

const held = (over: object = {}) => ({ key: KEY, version: 1, arrival: 1, createdAt: at(0), ...over });

function world({ said, holdings = [held()], imported, answers = [], owed = [] }: World) {
  const [read, kept, told]: [string[], string[], string[]] = [[], [], []];
  const rows = new Set<string>();
  const ports = {
    self: B,
    journal: {
      heads: async () =>
        [A, C].flatMap((peer) => [
          { publisher: B, audience: peer },
          { publisher: peer, audience: B },
        ]),
      keyChangesTold: async (to: TrustDomain, after: number) => {
        read.push(`${to} ${after}`);
        return said.filter((one) => one.to === to && one.seq > after).map(eventOf);
      },
      eventsOfMigrations: async () =>
        imported === undefined ? [] : [{ event: { type: 'KeyImported', publisher: B, time: at(imported) } }],
    },
    keys: {
      list: async ({ key }: { readonly key: string }) => (holdings as readonly KeyRecord[]).filter((one) => one.key === key),
      wordsHome: async (words: readonly OwnWord[]) => ({
        owed: words.filter(({ data }) => owed.some((minute) => at(minute) === data.at) && !rows.has(data.at)),
        unkept: words.filter(({ data }) => !owed.some((minute) => at(minute) === data.at) && !rows.has(data.at)),
      }),
      tellOnce: async (_: unknown, { data }: OwnWord) => told.push(data.at) > 0,
      keepWord: async (tx: unknown, { peer, data, arrival }: OwnWord & { readonly arrival: number }) => {
        const answer = answers.shift() ?? 'changed';
        if (answer === 'fails') throw new Error('the database is away');
        kept.push(`${String(tx)} ${peer} ${data.at.slice(14, 16)} @${arrival}`);
        if (answer !== 'waits') rows.add(data.at);
        return answer;
      },
    },
    store: { db: { transaction: () => ({ execute: (work: (tx: unknown) => unknown) => work('own') }) } },
    signer: () => undefined,
    log: { warn: () => undefined },
  } as unknown as OwnWordPorts;
  return { own: openOwnWords(ports), read, kept, told };
}

describe('words of ours that came home', () => {
  it('are kept with the first look of a process, in the order in which they were said, to whomever', async () => {
    const { own, kept } = world({
      said: [
        { to: A, seq: 4, minute: 3 },
        { to: C, seq: 2, minute: 1 },
        { to: C, seq: 9, minute: 5 },
      ],
    });
    await own.keep();
    expect(kept).toEqual(['own csp-c.example 01 @1', 'own csp-a.example 03 @1', 'own csp-c.example 05 @1']);
  });

  it('cost nothing where none come: no look reads a ledger again', async () => {
    const { own, read } = world({ said: [{ to: A, seq: 4, minute: 3 }] });
    await own.keep();
    read.length = 0;
    expect(own.heard([noticeOf({ to: B, seq: 9 }, A)])).toBe(false);
    await own.keep();
    expect(read).toEqual([]);
  });

  it('are looked for when one is placed, from where the last look ended', async () => {
    const said: Said[] = [{ to: A, seq: 4, minute: 3 }];
    const { own, read, kept } = world({ said });
    await own.keep();
    [read.length, kept.length] = [0, 0];
    said.push({ to: A, seq: 7, minute: 4 });
    expect(own.heard([noticeOf({ to: A, seq: 7 })])).toBe(true);
    await own.keep();
    expect(kept).toEqual(['own csp-a.example 04 @1']);
    expect(read).toEqual(['csp-a.example 4', 'csp-a.example 7', 'csp-c.example 0']);
  });

  it.each<[string, readonly Notice[]]>([
    ['a quarantine ended', []],
    ['one was placed a second time', [noticeOf({ to: A, seq: 4 })]],
  ])('are looked for from the beginning when %s: the database is not what it was', async (_name, notices) => {
    const { own, read } = world({ said: [{ to: A, seq: 4, minute: 3 }] });
    await own.keep();
    read.length = 0;
    expect(own.heard(notices)).toBe(true);
    await own.keep();
    expect(read[0]).toBe('csp-a.example 0');
  });

  it('that still wait are asked again with each look, and with them what follows', async () => {
    const { own, kept } = world({
      said: [
        { to: A, seq: 4, minute: 3 },
        { to: A, seq: 5, minute: 4 },
      ],
      answers: ['waits', 'changed', 'waits'],
    });
    for (let look = 0; look < 4; look++) await own.keep();
    expect(kept.map((one) => one.split(' ')[2])).toEqual(['03', '04', '03', '03']);
  });

  it('are looked for again after a look that failed', async () => {
    const { own, kept } = world({ said: [{ to: A, seq: 4, minute: 3 }], answers: ['fails'] });
    await expect(own.keep()).rejects.toThrow('the database is away');
    await own.keep();
    expect(kept).toHaveLength(1);
  });

  it('and are owed by their row are noted as told, and change nothing', async () => {
    const { own, kept, told } = world({ said: [{ to: A, seq: 4, minute: 3 }], owed: [3] });
    await own.keep();
    expect([kept, told]).toEqual([[], [at(3)]]);
  });
});

describe('the holding that a word means', () => {
  const back = { arrival: 7, createdAt: at(9), provenance: { migration: MIGRATION } };
  it.each<[string, World['holdings'] & object, number | undefined, readonly string[]]>([
    ['the newest that was there', [held(), held({ arrival: 3, createdAt: at(2) })], undefined, ['@3']],
    ['not one that came later', [held(), held(back)], 6, ['@1']],
    ['not one that is still on its way in', [held(), held({ arrival: 7, createdAt: at(9) })], undefined, ['@1']],
    ['not one whose arrival is not in the ledger yet', [held(), held(back)], undefined, ['@1']],
    ['one that came before and was brought back since', [held(), held(back)], 3, ['@7']],
    ['one that was made here and was brought back since', [held({ arrival: 0, createdAt: at(9) })], undefined, ['@0']],
    ['none, where the key came later only', [held(back)], 6, []],
    ['none, of another key or version', [held({ key: OTHER }), held({ version: 2 })], undefined, []],
  ])('is %s', async (_name, holdings, imported, expected) => {
    const { own, kept } = world({
      said: [{ to: A, seq: 4, minute: 5 }],
      holdings,
      ...(imported === undefined ? {} : { imported }),
    });
    await own.keep();
    expect(kept.map((one) => one.split(' ').at(-1))).toEqual(expected);
  });
});

describe('keys that come back from their spares', () => {
  const m = { facts: { KeyImported: { time: at(3) } } } as unknown as MigrationState;
  const arrivals = (back: object) =>
    ({ missing: async () => [], bringBack: async () => back }) as unknown as Parameters<
      ReturnType<typeof openOwnWords>['bringingBack']
    >[0];
  const came = { ok: true, value: [{ key: KEY, version: 1, arrival: 7 }] };

  it('do so as this CSP has left them by its word since they came, in the same transaction', async () => {
    const { own, kept, read } = world({
      said: [
        { to: A, seq: 1, minute: 2 },
        { to: A, seq: 4, minute: 5 },
        { to: C, seq: 2, minute: 4 },
        { to: C, seq: 3, minute: 6, key: OTHER },
      ],
      holdings: [],
    });
    await own.keep();
    const prepared = await own.bringingBack(arrivals({ ok: true, value: { record: async () => came } })).bringBack(m);
    if (!prepared.ok) throw new Error(prepared.code);
    expect(await prepared.value.record('theirs' as never)).toEqual(came);
    expect(kept).toEqual(['theirs csp-c.example 04 @7', 'theirs csp-a.example 05 @7']);
    read.length = 0;
    await own.keep();
    expect(read[0], 'what had to wait is looked for').toBe('csp-a.example 0');
  });

  it('or do not come', async () => {
    const { own, kept } = world({ said: [{ to: A, seq: 4, minute: 5 }] });
    const refused = { ok: false, code: 'SPARE_MISSING', text: 'no spare' };
    expect(await own.bringingBack(arrivals(refused)).bringBack(m)).toBe(refused);
    const prepared = await own.bringingBack(arrivals({ ok: true, value: { record: async () => refused } })).bringBack(m);
    if (!prepared.ok) throw new Error(prepared.code);
    expect([await prepared.value.record('theirs' as never), kept]).toEqual([refused, []]);
  });
});
