import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAgenda, FORGET } from './agenda.ts';

const key = (vm: string) => ({ vm, peer: 'csp-b.example' });

/** An agenda with a clock that stands still until it is told otherwise. */
function open() {
  let nowMs = 1_000;
  return {
    agenda: createAgenda(() => nowMs),
    pass: (ms: number) => {
      nowMs += ms;
    },
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
