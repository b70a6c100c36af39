import type { TrustDomain } from '@carnet/events';
import type { Store } from '@carnet/store';
import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Boots } from '../boots.ts';
import { compareWithBus, openComparisons } from '../comparison.ts';
import type { OwnOnBus } from '../homecoming.ts';
import { receiveResent } from '../homecoming.ts';
import { COMPARE_WAIT_MS } from '../limits.ts';
import { OPEN } from './open-intake.ts';
import { ALL, digestsOf, twoSides } from './two-sides.ts';
import { A, B, C, decide, type memoryLog, refusal, temporaryDir } from './world.ts';

/** A machine that is set back with its database and its head files contradicts nothing that it told: every database that a journal stands on passes this. */
export function setBackContract(open: () => Promise<Store>): void {
  const { sides, stream, say, ledgerOf, told, hear, restore, restart, challenge, own, appendCode, withoutC } = twoSides(open);
  const nothing: OwnOnBus = async () => [];
  let compared: TrustDomain[] = [];
  const anew: Boots = {
    look: () => undefined,
    isCompared: async () => false,
    compared: async (peer) => void compared.push(peer),
  };
  const compare = async (peer = B, onBus = peer === B ? stream : nothing): Promise<void> =>
    compareWithBus(sides.a.parts, peer, onBus);

  /** The machine is what it was when our ledger to B ended at 2, with its files, and has booted. */
  const setBack = async (): Promise<void> => {
    await restore(2);
    await restart(temporaryDir(), anew);
    await compare();
    await compare(C);
  };
  const peersAnswer = async (): Promise<void> => {
    await challenge();
    await withoutC();
  };

  beforeEach(() => {
    compared = [];
  });

  describe('a machine that boots', () => {
    it('and was set back decides nothing before it has heard what it told, and then waits for its peers', async () => {
      await say(sides.a, 'told', 'told too');
      const before = await told(sides.a);
      await hear(sides.b, before);
      sides.onBus = before;
      await restore(2);
      await restart(temporaryDir(), anew);

      const next = appendCode();
      await compare(C);
      await compare();

      expect(await next).toBe('LEDGER_QUARANTINED');
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
      expect(compared).toEqual([C, B]);
      await peersAnswer();
      const [goesOn] = await say(sides.a, 'goes on');
      expect(goesOn?.placement).toMatchObject({ seq: '5', prev: before.at(-1)?.digest });
      expect((await hear(sides.b, await told(sides.a))).at(-1)).toMatchObject({ kind: 'placed', seq: '5' });
      expect(await sides.b.journal.peersState()).toMatchObject([{ proofs: [] }, { proofs: [] }]);
    });

    it('and was set back by far goes into quarantine all the same, and comes home by the peer', async () => {
      await say(sides.a, 'told', 'told too', 'and this');
      const before = await told(sides.a);
      await hear(sides.b, before);
      // Of what comes next the bus has nothing left, or too much lies between.
      sides.onBus = before.slice(-1);
      await setBack();
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      const [question] = (await sides.a.exchange.challengeIfInDoubt()).slice(-1);
      const heard = await sides.b.exchange.hear(question ?? Buffer.alloc(0));
      await receiveResent(sides.a.parts, B, heard.ok ? heard.value.replies.slice(1) : [], OPEN);
      await peersAnswer();
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
      expect(await appendCode()).toBe('appended');
    });

    it('and was set back, and of what it told the bus has only a later event: nothing is decided in the place of the one before', async () => {
      await say(sides.a, 'told', 'told too');
      const before = await told(sides.a);
      sides.onBus = before.slice(3);
      await setBack();
      await peersAnswer();
      expect(await appendCode()).toBe('LEDGER_EVENTS_LOST');
      expect(await own()).toMatchObject({ lostSeq: 4, head: { seq: '2' } });
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before.slice(0, 2)));
      // Whoever is out of it stays out, however often the one whose events are lost answers.
      await challenge();
      expect((await sides.a.journal.peersState()).map(({ peer, own: ours }) => [peer, ours.quarantinedAt !== undefined])).toEqual(
        [
          [B, true],
          [C, false],
        ],
      );
    });

    it('and was set back sends again what it told, while it waits: two of them know each other by it', async () => {
      await say(sides.a, 'told');
      const before = await told(sides.a);
      await say(sides.a, 'told nobody');
      sides.onBus = before;
      await restore(2);
      await restart(temporaryDir(), anew);
      await compare();
      expect((await sides.a.outbox.again(0, ALL)).map(({ seq }) => seq)).toEqual([1, 2, 3]);
      expect(await sides.a.outbox.tellableHead()).toMatchObject({ seq: 3 });
    });

    it('and was not set back goes on, once for each boot', async () => {
      sides.onBus = await told(sides.a);
      await restart(sides.a.headDir, anew);
      const next = appendCode();
      await compare();
      expect(sides.a.parts.comparisons.isDue(B)).toBe(false);
      await compare(C);
      expect(await next).toBe('appended');
      expect(compared).toEqual([B, C]);
    });

    it('hears of no ledger in vain: what is decided with one peer may rely on what was told another', async () => {
      await restart(sides.a.headDir, anew);
      let decided = false;
      const next = sides.a.journal.append(C, decide(refusal())).finally(() => (decided = true));
      await compare(C);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(decided).toBe(false);
      sides.a.journal.detach(B);
      expect((await next).ok).toBe(true);
    });

    it('also where the other peer is attached later, as one that was invited is: it has a past here', async () => {
      await restart(sides.a.headDir, anew);
      await compare();
      await compare(C);
      sides.a.journal.detach(B);
      await sides.a.journal.attach(B);
      let decided = false;
      const next = sides.a.journal.append(C, decide(refusal())).finally(() => (decided = true));
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(decided).toBe(false);
      await compare();
      expect((await next).ok).toBe(true);
    });

    it('waits for itself only with a peer that has just come: perhaps it has no stream yet', async () => {
      const { first, begin } = openComparisons(anew, 20);
      await begin(C, 'for-itself');
      const decided = async () => ({ ok: true, value: { events: [], value: null } }) as never;
      expect(await first(B, decided)(decide(refusal()))).toMatchObject({ ok: true });
      expect(await first(C, decided)(decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_UNCOMPARED', got: C });
    });

    it(
      'while the bus does not answer is refused, and has changed nothing; after that at once',
      async () => {
        await restart(sides.a.headDir, anew);
        const before = await own();
        await expect(compare(B, async () => Promise.reject(new Error('no bus')))).rejects.toThrow('no bus');
        expect(await sides.a.journal.append(B, decide(refusal()))).toMatchObject({ ok: false, code: 'LEDGER_UNCOMPARED' });
        const startedMs = performance.now();
        expect(await appendCode()).toBe('LEDGER_UNCOMPARED');
        expect(performance.now() - startedMs).toBeLessThan(COMPARE_WAIT_MS / 2);
        expect([await own(), compared]).toEqual([before, []]);
      },
      COMPARE_WAIT_MS * 3,
    );

    it('beside a replica that decides meanwhile is not taken for one that was set back', async () => {
      await restart(sides.a.headDir, anew);
      let looks = 0;
      const racing: OwnOnBus = async (after) => {
        looks += 1;
        if (looks > 1) return stream(after, 0);
        // Decided and told by another, between our look at the ledger and the bus's answer.
        const { db } = sides.a.parts.options.store;
        await sql`update ledgers set head_seq = head_seq + 1 where publisher = ${A} and audience = ${B}`.execute(db);
        return [{ envelope: new TextEncoder().encode('one more') }];
      };
      await compare(B, racing);
      const said = sides.a.parts.options.log as ReturnType<typeof memoryLog>;
      expect([looks, said.said.filter(({ level }) => level === 'error')]).toEqual([2, []]);
    });
  });

  describe('a quarantine', () => {
    /** Hosts acted on the peer's last words; who knows which, if the files that say so were set back as well? */
    const actedUpon = async (): Promise<void> => {
      await say(sides.b, 'heard', 'and acted upon');
      await told(sides.b);
      await say(sides.a, 'told');
      sides.onBus = await told(sides.a);
      await hear(sides.b, sides.onBus);
      await setBack();
      await peersAnswer();
    };

    it('lasts until the peer’s ledger is here as far as it says', async () => {
      await actedUpon();
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      await hear(sides.a, await told(sides.b));
      await peersAnswer();
      expect(await appendCode()).toBe('appended');
    });

    it('does not wait for more of a peer whose questions are to be answered first', async () => {
      sides.isHeld = true;
      await actedUpon();
      expect(await appendCode()).toBe('appended');
    });
  });

  it('a folder of head files that is new, or older than the database, knows as much from the start', async () => {
    await say(sides.a, 'decided', 'and told by nobody here');
    const before = await ledgerOf(sides.a);
    await restart(temporaryDir());
    await restore(2);
    await restart();
    expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before));
    expect(await appendCode()).toBe('LEDGER_QUARANTINED');
    expect(await sides.a.outbox.after(0, ALL)).toEqual([]);
  });

  it('two in quarantine wait for nothing that neither tells', async () => {
    await say(sides.b, 'decided, and told nobody');
    const { db } = sides.b.parts.options.store;
    await sql`update ledgers set quarantined_at = '2026-11-28T10:00:00.000Z' where publisher = ${B}`.execute(db);
    await say(sides.a, 'told');
    sides.onBus = await told(sides.a);
    await setBack();
    await peersAnswer();
    expect(await appendCode()).toBe('appended');
  });
}
