import type { Store } from '@carnet/store';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { openExchange } from '../exchange.ts';
import { digestsOf, peerOf, type Side, twoSides } from './two-sides.ts';
import { C, NOTHING_AROUND } from './world.ts';

/** Two that know nothing of each other find together, whatever became of their databases: every database that a journal stands on passes this. */
export function strangersContract(open: () => Promise<Store>): void {
  const { sides, say, ledgerOf, told, hear, restore, restart, own, appendCode, withoutC, strangers } = twoSides(open);
  const forgetPeer = async (side: Side): Promise<void> => {
    const { db } = side.parts.options.store;
    const peer = peerOf(side);
    await sql`delete from events where publisher = ${peer} and audience = ${side.self}`.execute(db);
    await sql`update ledgers set head_seq = 0, head_digest = null, keys = '[]' where publisher = ${peer} and audience = ${side.self}`.execute(
      db,
    );
    await sql`update peers set own_seq = 0, own_digest = null where peer = ${peer}`.execute(db);
  };
  /** All that both say at one moment, and what follows from it. */
  const talk = async (): Promise<void> => {
    for (const [from, to] of [
      [sides.a, sides.b],
      [sides.b, sides.a],
    ] as const)
      for (const message of [...(await from.exchange.challengeIfInDoubt()), await from.exchange.ask()]) {
        const heard = await to.exchange.hear(message);
        for (const reply of heard.ok ? heard.value.replies : []) {
          const answered = await from.exchange.hear(reply);
          if (!answered.ok) await from.journal.receive(to.self, { envelope: reply });
        }
      }
  };

  it('since the one was restored and the other forgot: the one leaves quarantine all the same', async () => {
    await say(sides.a, 'withheld');
    const before = await told(sides.a);
    await forgetPeer(sides.a);
    await forgetPeer(sides.b);
    await restore(2);
    await restart();
    for (let round = 0; round < 3; round++) await talk();
    await withoutC();
    expect((await own())?.quarantinedAt).toBeUndefined();
    expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
    expect(await appendCode()).toBe('appended');
  });

  const quarantineAt = ({ self, parts }: Side) =>
    sql`update ledgers set quarantined_at = '2026-11-28T10:00:00.000Z' where publisher = ${self} and audience <> ${C}`.execute(
      parts.options.store.db,
    );

  it('since nothing was ever said: the one is restored, the other introduces itself, and the one leaves quarantine', async () => {
    await strangers();
    await quarantineAt(sides.a);
    for (let round = 0; round < 3; round++) {
      await talk();
      await hear(sides.a, await ledgerOf(sides.b));
    }
    expect((await own())?.quarantinedAt).toBeUndefined();
    expect(await appendCode()).toBe('appended');
  });

  it('since nothing was ever said, and are both restored: both leave quarantine', async () => {
    await strangers();
    await quarantineAt(sides.a);
    await quarantineAt(sides.b);
    await talk();
    for (const side of [sides.a, sides.b]) expect(await say(side, 'begins')).toHaveLength(1);
  });

  it('are not believed where the bus holds an event of ours, nor with an answer to no question', async () => {
    const before = await told(sides.a);
    await strangers();
    await quarantineAt(sides.a);
    await quarantineAt(sides.b);
    sides.onBus = before.slice(1);
    await talk();
    expect((await own())?.quarantinedAt).toBeDefined();
    sides.onBus = [];
    const [, challenged] = await sides.a.exchange.challengeIfInDoubt();
    const answered = await sides.b.exchange.hear(challenged ?? Buffer.alloc(0));
    const [answer] = answered.ok ? answered.value.replies : [];
    await restart();
    await quarantineAt(sides.a);
    // The nonce of another process.
    await sides.a.exchange.hear(answer ?? Buffer.alloc(0));
    expect((await own())?.quarantinedAt).toBeDefined();
  });

  it('are told nothing that is not theirs: no event of another ledger, and nothing for another’s question', async () => {
    await forgetPeer(sides.b);
    const [message] = await sides.a.exchange.challengeIfInDoubt();
    expect(message).toBeUndefined();
    const misaddressed = openExchange(sides.a.parts, C, sides.a.outbox, NOTHING_AROUND);
    expect(await sides.b.exchange.hear(await misaddressed.ask())).toMatchObject({ ok: false, code: 'PEER_UNANNOUNCED' });
    expect(await sides.b.exchange.hear(Buffer.from('{'))).toMatchObject({ ok: false, code: 'PEER_UNANNOUNCED' });
  });
}
