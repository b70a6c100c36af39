import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { axisTicks, custodySpans, type LaneEvent, layoutLanes, MARK_GAP, PAD_LEFT, PAD_RIGHT } from './lanes.ts';

const START = Date.parse('2026-11-23T10:00:00.000Z');
const at = (ms: number): string => new Date(START + ms).toISOString();
const event = (ms: number, i: number): LaneEvent => ({ digest: String(i), publisher: i % 2 === 0 ? 'a' : 'b', time: at(ms) });
const times = fc.array(fc.nat(3_600_000), { minLength: 1, maxLength: 40 });

describe('lanes', () => {
  it('keep order and distance, whatever the times, and end where they may', () => {
    fc.assert(
      fc.property(times, fc.nat(2_000), (ms, width) => {
        const events = ms.map(event);
        const lanes = layoutLanes(events, 'a', width);
        const xs = lanes.marks.map((mark) => mark.x);
        expect(xs[0]).toBe(PAD_LEFT);
        for (const [i, x] of xs.entries()) if (i > 0) expect(x - (xs[i - 1] ?? 0)).toBeGreaterThanOrEqual(MARK_GAP - 1e-6);
        expect(xs.at(-1)).toBeLessThanOrEqual(lanes.width - PAD_RIGHT + 1e-6);
        const byTime = lanes.marks.map((mark) => events[Number(mark.digest)]?.time ?? '');
        expect(byTime).toEqual([...byTime].sort());
      }),
    );
  });

  it('fill the width, longer spans longer', () => {
    const { marks, width } = layoutLanes([event(0, 0), event(1_000, 1), event(4_000, 2)], 'a', 800);
    const [a, b, c] = marks.map((mark) => mark.x);
    expect(width).toBe(800);
    expect(c).toBeCloseTo(800 - PAD_RIGHT);
    expect((c ?? 0) - (b ?? 0) - MARK_GAP).toBeCloseTo(3 * ((b ?? 0) - (a ?? 0) - MARK_GAP));
    expect(marks.map((mark) => mark.lane)).toEqual(['source', 'target', 'source']);
  });

  it('are wider than the window when there are many marks, and empty without events', () => {
    expect(
      layoutLanes(
        Array.from({ length: 30 }, (_, i) => event(i, i)),
        'a',
        300,
      ).width,
    ).toBe(PAD_LEFT + PAD_RIGHT + 29 * MARK_GAP);
    expect(layoutLanes([], 'a', 300)).toMatchObject({ marks: [], width: 300 });
  });

  it('find the place of a time between marks, and none outside', () => {
    const lanes = layoutLanes([event(0, 0), event(1_000, 1)], 'a', 800);
    const [a = 0, b = 0] = lanes.marks.map((mark) => mark.x);
    expect(lanes.xOf(at(500))).toBeCloseTo((a + b) / 2);
    expect([lanes.xOf(at(0)), lanes.xOf(at(1_000))]).toEqual([a, b]);
    expect([lanes.xOf(at(-1)), lanes.xOf(at(1_001)), lanes.xOf('never')]).toEqual([undefined, undefined, undefined]);
  });
});

it('ticks stand apart and say each time once', () => {
  fc.assert(
    fc.property(times, (ms) => {
      const events = ms.map(event);
      const ticks = axisTicks(events, layoutLanes(events, 'a', 700), 90);
      expect(ticks.length).toBeGreaterThan(0);
      for (const [i, tick] of ticks.entries()) if (i > 0) expect(tick.x - (ticks[i - 1]?.x ?? 0)).toBeGreaterThanOrEqual(90);
    }),
  );
});

describe('custody', () => {
  const lanes = layoutLanes([event(0, 0), event(1_000, 1), event(2_000, 2)], 'a', 800);
  const [first, middle, last] = lanes.marks.map((mark) => mark.x);

  it('follows its entries to the end of what is drawn', () => {
    const custody = [
      { at: at(0), domains: ['a'] },
      { at: at(1_000), domains: ['b'] },
    ];
    expect(custodySpans(custody, lanes)).toEqual([
      { from: first, to: middle, domains: ['a'] },
      { from: middle, to: last, domains: ['b'] },
    ]);
  });

  it('draws nothing for what lasted no time', () => {
    expect(custodySpans([{ at: at(2_000), domains: ['a'] }], lanes)).toEqual([]);
    expect(custodySpans([], lanes)).toEqual([]);
  });
});
