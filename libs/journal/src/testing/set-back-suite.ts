import type { TrustDomain } from '@carnet/events';
import type { Store } from '@carnet/store';
import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Boots } from '../boots.ts';
import { compareWithBus, openComparisons } from '../comparison.ts';
import type { OwnOnBus } from '../doubt.ts';
import { ALL, digestsOf, twoSides } from './two-sides.ts';
import { A, B, C, decide, type memoryLog, refusal, temporaryDir } from './world.ts';

/** A machine that is set back with its database and its head files contradicts nothing that it told: every database that a journal stands on passes this. */
export function setBackContract(open: () => Promise<Store>): void {
  const { sides, stream, say, ledgerOf, told, hear, restore, restart, challenge, own, appendCode, withoutC } = twoSides(open);
  const nothing: OwnOnBus = async () => [];
  let compared: TrustDomain[] = [];
  const anew: Boots = { isCompared: async () => false, compared: async (peer) => void compared.push(peer) };
  const compare = async (peer = B, onBus = peer === B ? stream : nothing): Promise<void> =>
    compareWithBus(sides.a.parts, peer, onBus);
  const snapshot = () => own();

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
      await challenge();
      await withoutC();
      const [goesOn] = await say(sides.a, 'goes on');
      expect(goesOn?.placement).toMatchObject({ seq: '5', prev: before.at(-1)?.digest });
      expect((await hear(sides.b, await told(sides.a))).at(-1)).toMatchObject({ kind: 'placed', seq: '5' });
      expect(await sides.b.journal.peersState()).toMatchObject([{ proofs: [] }, { proofs: [] }]);
    });

    it('and was not set back goes on, once for each boot', async () => {
      sides.onBus = await told(sides.a);
      await restart(sides.a.headDir, anew);
      const next = appendCode();
      await compare();
      await compare(C);
      expect(await next).toBe('appended');
      sides.onBus = [];
      await compare(B, async () => Promise.reject(new Error('asked again')));
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

    it('while the bus does not answer is refused, and has changed nothing', async () => {
      await restart(sides.a.headDir, anew);
      const before = await snapshot();
      const { first, begin } = openComparisons(anew, 20);
      await begin(B);
      const refused = await first(async () => Promise.reject(new Error('decided')))(decide(refusal()));
      expect(refused).toMatchObject({ ok: false, code: 'LEDGER_UNCOMPARED', got: B });
      await expect(compare(B, async () => Promise.reject(new Error('no bus')))).rejects.toThrow('no bus');
      expect([sides.a.parts.comparisons.isDue(B), compared]).toEqual([true, []]);
      expect(await snapshot()).toEqual(before);
    });

    it('and whose bus holds what does not follow goes into quarantine; nothing of that is placed', async () => {
      await say(sides.a, 'told', 'told too');
      const before = await told(sides.a);
      sides.onBus = before.slice(3);
      await restore(2);
      await restart(temporaryDir(), anew);
      await compare();
      await compare(C);
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      expect(digestsOf(await ledgerOf(sides.a))).toEqual(digestsOf(before.slice(0, 2)));
    });

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
      await restore(2);
      await restart(temporaryDir(), anew);
      await compare();
      await compare(C);
      await challenge();
      await withoutC();
    };

    it('lasts until the peer’s ledger is here as far as it says', async () => {
      await actedUpon();
      expect(await appendCode()).toBe('LEDGER_QUARANTINED');
      await hear(sides.a, await told(sides.b));
      await challenge();
      await withoutC();
      expect(await appendCode()).toBe('appended');
    });

    it('does not wait for more of a peer than is taken in from it now', async () => {
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
}
