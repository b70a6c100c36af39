import { placement } from '@carnet/events';
import type { PlacedEvent } from '@carnet/journal';
import { describe, expect, it } from 'vitest';
import { historyOf, vmOf } from '../../../libs/views/src/testing/history.ts';
import { createFolds, fold } from './folds.ts';

const history = historyOf('there-and-back');
const vm = vmOf(history);
const peer = history[0]?.event.audience;
const events = history.map(
  ({ event, digest }): PlacedEvent => ({ digest, event, placement: placement.parse(JSON.parse(JSON.stringify(event))) }),
);

describe('folds', () => {
  if (peer === undefined) throw new Error('expected a history with events');

  it('that go on from the last one are those from the start', () => {
    const folds = createFolds();
    for (let n = 0; n <= events.length; n += 1) expect(folds(vm, peer, events.slice(0, n))).toEqual(fold(vm, events.slice(0, n)));
  });

  it('begin anew when events are gone, as after a restored backup, or came between', () => {
    const folds = createFolds();
    folds(vm, peer, events);
    for (const other of [events.slice(0, 5), events.toSpliced(3, 1), events]) {
      expect(folds(vm, peer, other)).toEqual(fold(vm, other));
      folds(vm, peer, events);
    }
  });

  it('of one peer say nothing of another', () => {
    const folds = createFolds();
    const [other = peer] = events.flatMap(({ event }) => (event?.audience === peer ? [] : [event?.audience ?? peer]));
    folds(vm, peer, events);
    expect(folds(vm, other, events.slice(0, 2))).toEqual(fold(vm, events.slice(0, 2)));
  });
});
