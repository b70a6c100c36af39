import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digest, event, placement } from '@carnet/events';
import type { PlacedEvent } from '@carnet/journal';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createFolds, fold } from './folds.ts';

/** What two brokers said while a VM went there and back. */
const file = join(import.meta.dirname, '../../../test/histories/there-and-back.golden.json');
const recorded = z.object({ events: z.array(z.object({ event, digest })) });
const events = recorded
  .parse(JSON.parse(readFileSync(file, 'utf8')))
  .events.map((each): PlacedEvent => ({ ...each, placement: placement.parse(JSON.parse(JSON.stringify(each.event))) }));
const intent = events.find(({ event: said }) => said?.type === 'MigrationIntended')?.event;
if (intent?.type !== 'MigrationIntended') throw new Error('expected a history with an intent');
const { vm } = intent.data;
const peer = intent.audience;

describe('folds', () => {
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
    folds(vm, peer, events);
    expect(folds(vm, intent.publisher, events.slice(0, 2))).toEqual(fold(vm, events.slice(0, 2)));
  });
});
