import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAgenda, FORGET } from './agenda.ts';
import { FRESH_PER_REST, FRESH_PLACES_MAX, OTHERS_LATELY_MS, PEER_PLACES_MAX, URGENT_PLACES_MAX } from './limits.ts';

const key = (vm: string) => ({ vm, peer: 'csp-b.example' });

/** An agenda with a clock that stands still until it is told otherwise. */
function open() {
  let nowMs = 1_000;
  return {
    agenda: createAgenda(() => nowMs),
    pass: (ms: number) => {
      nowMs += ms;
    },
    now: () => nowMs,
  };
}

describe('agenda', () => {
  it('gives whoever has waited longest, whoever came first', () => {
    const { agenda, pass } = open();
    agenda.notice(key('early'));
    pass(1);
    agenda.notice(key('late'));
    const early = agenda.takeDue();
    expect(early?.key.vm).toBe('early');
    // Noticed over and over while busy, it stands behind those that wait.
    agenda.notice(key('early'));
    pass(1);
    if (early !== undefined) agenda.finish(early, { dueMs: 0 + 1_000_000 });
    expect(agenda.takeDue()?.key.vm).toBe('late');
    expect(agenda.takeDue()?.key.vm).toBe('early');
    expect(agenda.takeDue()).toBeUndefined();
  });

  it('a notice brings the next look forward, but not past the rest after a failure', () => {
    const { agenda, pass } = open();
    agenda.notice(key('vm'));
    const slot = agenda.takeDue();
    if (slot === undefined) throw new Error('nothing due');
    agenda.finish(slot, { dueMs: 61_000, restUntilMs: 1_200 });
    agenda.notice(key('vm'));
    expect(agenda.waitMs()).toBe(200);
    pass(199);
    expect(agenda.takeDue()).toBeUndefined();
    pass(1);
    expect(agenda.takeDue()).toBe(slot);
  });

  it('what is forgotten takes no memory; a notice while it was busy keeps it', () => {
    const { agenda } = open();
    agenda.notice(key('vm'));
    const slot = agenda.takeDue();
    if (slot === undefined) throw new Error('nothing due');
    agenda.notice(key('vm'));
    agenda.finish(slot, FORGET);
    expect(agenda.size()).toBe(1);
    const again = agenda.takeDue();
    if (again === undefined) throw new Error('nothing due');
    agenda.finish(again, FORGET);
    expect([agenda.size(), agenda.waitMs()]).toEqual([0, undefined]);
  });

  it('says the same as a plain list: who is due, and when', () => {
    const moves = fc.array(
      fc.record({
        what: fc.constantFrom('notice', 'take', 'finish'),
        vm: fc.nat({ max: 6 }),
        dueMs: fc.nat({ max: 9 }),
        restMs: fc.nat({ max: 3 }),
        passMs: fc.nat({ max: 2 }),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(moves, (steps) => {
        const { agenda, pass, now } = open();
        const waiting = new Map<string, { dueMs: number; restUntilMs: number }>();
        const busy: NonNullable<ReturnType<typeof agenda.takeDue>>[] = [];
        const noticed = new Set<string>();
        for (const { what, vm, dueMs, restMs, passMs } of steps) {
          pass(passMs);
          const name = `vm-${vm}`;
          if (what === 'notice') {
            agenda.notice(key(name));
            const held = waiting.get(name);
            if (busy.some((slot) => slot.key.vm === name)) noticed.add(name);
            else if (held === undefined) waiting.set(name, { dueMs: now(), restUntilMs: 0 });
            else held.dueMs = Math.min(held.dueMs, Math.max(now(), held.restUntilMs));
          } else if (what === 'take') {
            const dueFirst = Math.min(...[...waiting.values()].map((one) => one.dueMs));
            const slot = agenda.takeDue();
            expect(slot === undefined).toBe(dueFirst > now());
            if (slot === undefined) continue;
            expect(waiting.get(slot.key.vm)?.dueMs).toBe(dueFirst);
            waiting.delete(slot.key.vm);
            busy.push(slot);
          } else {
            const slot = busy.shift();
            if (slot === undefined) continue;
            const [due, rest] = [now() + dueMs, now() + restMs];
            agenda.finish(slot, { dueMs: due, restUntilMs: rest });
            const again = noticed.delete(slot.key.vm);
            waiting.set(slot.key.vm, { dueMs: again ? Math.min(due, Math.max(now(), rest)) : due, restUntilMs: rest });
          }
          const next = Math.min(...[...waiting.values()].map((one) => one.dueMs));
          expect(agenda.waitMs()).toBe(waiting.size === 0 ? undefined : Math.max(0, next - now()));
          expect(agenda.size()).toBe(waiting.size + busy.length);
        }
      }),
    );
  });

  const many = (count: number, peer: string) => Array.from({ length: count }, (_, n) => ({ vm: `vm-${n}`, peer }));
  /** All that may be taken now. */
  const takeAll = (agenda: ReturnType<typeof createAgenda>) => {
    const taken: NonNullable<ReturnType<typeof agenda.takeDue>>[] = [];
    for (let slot = agenda.takeDue(); slot !== undefined; slot = agenda.takeDue()) taken.push(slot);
    return taken;
  };
  const [B, C] = ['csp-b.example', 'csp-c.example'];
  /** B has had work a moment ago. */
  const busyB = (agenda: ReturnType<typeof createAgenda>) => {
    agenda.notice({ vm: 'of B', peer: B });
    const slot = agenda.takeDue();
    if (slot === undefined) throw new Error('nothing due');
    agenda.works(slot);
    agenda.finish(slot, FORGET);
  };

  it('beside another that has work, a peer that asks without end has few places, with rests between', () => {
    const { agenda, pass } = open();
    busyB(agenda);
    const asked = 3 * FRESH_PER_REST;
    for (const one of many(asked, C)) agenda.notice(one);
    const taken = takeAll(agenda);
    expect([taken.length, agenda.freshOf(C), agenda.waitMs()]).toEqual([FRESH_PLACES_MAX, asked, undefined]);
    pass(10);
    for (const slot of taken) agenda.finish(slot, FORGET);
    expect([takeAll(agenda).length, agenda.waitMs()]).toEqual([0, 10 * 3]);
    agenda.notice({ vm: 'late', peer: B });
    expect(takeAll(agenda).map(({ key: { vm } }) => vm)).toEqual(['late']);
    pass(10 * 3);
    expect(takeAll(agenda)).toHaveLength(FRESH_PLACES_MAX);
  });

  it('what is begun has more places than what is asked, and beside another no peer has all', () => {
    const { agenda, pass, now } = open();
    for (const one of many(100, C)) agenda.notice(one);
    for (const slot of takeAll(agenda)) {
      agenda.begin(slot, 'begun');
      agenda.finish(slot, { dueMs: now() + 1 });
    }
    busyB(agenda);
    pass(1);
    const taken = takeAll(agenda);
    expect([taken.length, agenda.freshOf(C)]).toEqual([PEER_PLACES_MAX, 0]);
    agenda.notice({ vm: 'late', peer: B });
    pass(1);
    expect(takeAll(agenda).map(({ key: { vm } }) => vm)).toEqual(['late']);
  });

  /** Looked at, and waiting for something to happen. */
  const under = (agenda: ReturnType<typeof createAgenda>, vm: string, as: 'begun' | 'urgent', dueMs: number, peer = B) => {
    agenda.notice({ vm, peer });
    const slot = agenda.takeDue();
    if (slot === undefined) throw new Error('nothing due');
    agenda.begin(slot, as);
    agenda.finish(slot, { dueMs });
  };
  const names = (agenda: ReturnType<typeof createAgenda>): readonly string[] => takeAll(agenda).map(({ key: { vm } }) => vm);

  it('while a VM stands still, its journey comes before the peer’s others; when it is not due, the others come', () => {
    const { agenda, pass, now } = open();
    under(agenda, 'first', 'begun', now() + 1);
    under(agenda, 'still', 'urgent', now() + 2);
    under(agenda, 'later', 'urgent', now() + 9);
    pass(2);
    agenda.notice({ vm: 'new', peer: B });
    expect(names(agenda)).toEqual(['still', 'first', 'new']);
    expect(agenda.waitMs()).toBe(7);
  });

  it('a notice that a VM stands still takes a journey before the others, if something is begun in it', () => {
    const { agenda, pass, now } = open();
    for (const vm of ['one', 'two']) under(agenda, vm, 'begun', now() + 1_000);
    pass(1);
    for (const vm of ['new', 'one']) agenda.notice({ vm, peer: B });
    agenda.notice({ vm: 'new', peer: B }, true);
    agenda.notice({ vm: 'two', peer: B }, true);
    expect([names(agenda), agenda.size()]).toEqual([['two', 'new', 'one'], 3]);
  });

  it('once the VM runs it waits like others; noticed again and again, nothing is counted twice', () => {
    const { agenda, pass, now } = open();
    under(agenda, 'still', 'urgent', now());
    for (const urgent of [true, false, true]) agenda.notice({ vm: 'still', peer: B }, urgent);
    const slot = agenda.takeDue();
    if (slot === undefined) throw new Error('nothing due');
    agenda.begin(slot, 'begun');
    agenda.finish(slot, { dueMs: now() + 2 });
    under(agenda, 'other', 'begun', now() + 1);
    pass(2);
    const taken = takeAll(agenda);
    expect(taken.map(({ key: { vm } }) => vm)).toEqual(['other', 'still']);
    for (const one of taken) agenda.finish(one, FORGET);
    expect([agenda.size(), agenda.waitMs()]).toEqual([0, undefined]);
  });

  it('what is urgent has most of the places first, and the rest in its turn: what hangs there does not hold all', () => {
    const { agenda, pass, now } = open();
    under(agenda, 'waits longest', 'begun', now() + 1);
    for (const { vm } of many(100, B)) under(agenda, vm, 'urgent', now() + 2);
    pass(2);
    expect(names(agenda).indexOf('waits longest')).toBe(URGENT_PLACES_MAX);
  });

  it('a peer that calls everything urgent has its share and no more', () => {
    const { agenda, pass, now } = open();
    for (const one of many(100, C)) under(agenda, one.vm, 'urgent', now() + 1, C);
    busyB(agenda);
    pass(1);
    agenda.notice({ vm: 'of B', peer: B });
    const taken = takeAll(agenda).map(({ key: { peer } }) => peer);
    expect([taken.filter((peer) => peer === C).length, taken.includes(B)]).toEqual([PEER_PLACES_MAX, true]);
  });

  it('alone, and again when the other has had no work for a while, a peer may have every place', () => {
    const { agenda, pass } = open();
    busyB(agenda);
    for (const one of many(100, C)) agenda.notice(one);
    expect(takeAll(agenda)).toHaveLength(FRESH_PLACES_MAX);
    pass(OTHERS_LATELY_MS);
    expect(takeAll(agenda)).toHaveLength(100 - FRESH_PLACES_MAX);
  });

  it('whatever comes, nobody is given out twice, and everybody noticed gets a turn', () => {
    const vms = fc.constantFrom('a', 'b', 'c');
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            vms.map((vm) => ({ notice: vm })),
            fc.constant('take'),
            fc.constant('finish'),
          ),
        ),
        (steps) => {
          const { agenda, pass } = open();
          const busy: NonNullable<ReturnType<typeof agenda.takeDue>>[] = [];
          for (const step of steps) {
            pass(1);
            if (typeof step === 'object') agenda.notice(key(step.notice));
            else if (step === 'take') {
              const slot = agenda.takeDue();
              if (slot !== undefined) busy.push(slot);
            } else {
              const slot = busy.shift();
              if (slot !== undefined) agenda.finish(slot, FORGET);
            }
            expect(new Set(busy).size).toBe(busy.length);
          }
          for (const slot of busy) agenda.finish(slot, FORGET);
          while (agenda.size() > 0) {
            const slot = agenda.takeDue();
            if (slot === undefined) throw new Error('somebody never gets a turn');
            agenda.finish(slot, FORGET);
          }
        },
      ),
    );
  });
});
