import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createHeap } from './heap.ts';

it('gives what a sorted list would, whatever is added in between', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 9 }), { nil: 'take' as const })), (steps) => {
      const heap = createHeap<number>((a, b) => a - b);
      let list: readonly number[] = [];
      for (const step of steps) {
        if (step === 'take') {
          expect(heap.pop()).toBe(list[0]);
          list = list.slice(1);
        } else {
          heap.push(step);
          list = [...list, step].toSorted((a, b) => a - b);
        }
        expect(heap.peek()).toBe(list[0]);
      }
    }),
  );
});
