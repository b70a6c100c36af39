import { digest, escrowId, recoveryId, spiffeId, timestamp, trustDomain } from '@carnet/events';
import type { OwedNews } from '@carnet/keys';
import { pino } from 'pino';
import { describe, expect, it, vi } from 'vitest';
import { type EscrowNewsPorts, startEscrowNews } from './escrow-news.ts';

const [B, C] = [trustDomain.parse('csp-b.example'), trustDomain.parse('csp-c.example')];
const ID = '01936ad4-0000-7000-8000-0000000000e1';
type Planned = (tx: { readonly db: object }) => Promise<{ readonly drafts: readonly object[] }>;
type How = 'appends' | 'refuses' | 'dies before the commit' | 'commits and dies';

const asked = (n: number, peer: typeof B): OwedNews => ({
  type: 'RecoveryRequested',
  peer,
  data: {
    escrow: escrowId.parse(ID),
    recovery: recoveryId.parse(ID),
    asker: spiffeId.parse('spiffe://csp-a.example/operator'),
    notAfter: timestamp.parse('2026-11-23T12:00:00.000Z'),
    statement: digest.parse(String(n).padStart(64, '0')),
  },
});

/** What is owed, and ledgers that do what they are told, one how for each append. */
function world(owed: readonly OwedNews[], script: readonly How[]) {
  const told = new Set<OwedNews>();
  const appended: string[] = [];
  const left = [...script];
  const escrows: EscrowNewsPorts['escrows'] = {
    expire: async () => 0,
    owedNews: async () => owed.filter((one) => !told.has(one)),
    tellOnce: async (_tx, one) => !told.has(one),
  };
  const append = vi.fn<(peer: string, plan: Planned) => Promise<object>>(async (peer, plan) => {
    const how = left.shift() ?? 'appends';
    if (how === 'refuses') return { ok: false, code: 'LEDGER_QUARANTINED', text: '' };
    const { drafts } = await plan({ db: {} });
    if (how === 'dies before the commit') throw new Error('no database');
    for (const draft of drafts) {
      const one = owed.find((each) => each.peer === peer && 'data' in draft && each.data === draft.data);
      if (one !== undefined) told.add(one);
      appended.push(`${peer} ${Number(one?.data.statement)}`);
    }
    if (how === 'commits and dies') throw new Error('no answer');
    return { ok: true, value: { events: [], value: null } };
  });
  const journal = { append, peers: [B, C] } as never;
  return { ports: { journal, escrows, log: pino({ level: 'silent' }) }, appended, told };
}

async function looks(ports: EscrowNewsPorts, times: number): Promise<void> {
  const news = startEscrowNews(ports);
  for (let n = 1; n < times; n++) {
    await news.stop();
    const again = startEscrowNews(ports);
    await again.stop();
  }
  await news.stop();
}

describe('escrow news', () => {
  it('are told to each peer in their order, once', async () => {
    const owed = [asked(1, B), asked(1, C), asked(2, B), asked(2, C)];
    const { ports, appended } = world(owed, []);
    await looks(ports, 3);
    expect(appended).toEqual([`${B} 1`, `${C} 1`, `${B} 2`, `${C} 2`]);
  });

  it.each<How>([
    'refuses',
    'dies before the commit',
    'commits and dies',
  ])('a ledger that %s loses and repeats nothing', async (how) => {
    const owed = [asked(1, B), asked(2, B)];
    const { ports, appended } = world(owed, [how]);
    await looks(ports, 3);
    expect(appended).toEqual([`${B} 1`, `${B} 2`]);
  });

  it('a peer that refuses hears nothing later before what is earlier; others go on', async () => {
    const { ports, appended } = world([asked(1, B), asked(1, C), asked(2, B)], ['refuses']);
    await looks(ports, 1);
    expect(appended).toEqual([`${C} 1`]);
  });

  it('a peer that is no more configured stays owed', async () => {
    const gone = asked(1, trustDomain.parse('csp-z.example'));
    const { ports, appended, told } = world([gone], []);
    await looks(ports, 1);
    expect([appended, told.size]).toEqual([[], 0]);
  });
});
