import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createEventReader } from './server-sent-events.ts';

const STREAM = 'id: 1.0\nevent: ledger-entry\ndata: {"a":1}\n\n: keepalive\n\nevent: feed\ndata: x\ndata: y\n\ndata: bare\n\n';
const EVENTS = [
  { id: '1.0', event: 'ledger-entry', data: '{"a":1}' },
  { id: undefined, event: 'feed', data: 'x\ny' },
  { id: undefined, event: 'message', data: 'bare' },
];

it('reads the same however the text is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(STREAM.length)), (cuts) => {
      const read = createEventReader();
      const edges = [0, ...cuts.toSorted((a, b) => a - b), STREAM.length];
      expect(edges.slice(1).flatMap((edge, i) => [...read(STREAM.slice(edges[i], edge))])).toEqual(EVENTS);
    }),
  );
});

it('refuses an event without end', () => {
  const read = createEventReader();
  expect(() => {
    for (let i = 0; i < 20; i++) read('x'.repeat(100_000));
  }).toThrow(RangeError);
});
