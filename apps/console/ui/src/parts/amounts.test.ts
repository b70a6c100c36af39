import { describe, expect, it } from 'vitest';
import { absolute, ago, bytes, duration, short, timeOfDay } from './amounts.ts';
import { transferText } from './transfer-text.ts';

it.each([
  [0, '0 B'],
  [1_023, '1023 B'],
  [1_536, '1.5 KiB'],
  [268_435_456, '256 MiB'],
  [2_147_483_648, '2.0 GiB'],
  [9e15, '8185 TiB'],
])('%d bytes are %s', (count, text) => expect(bytes(count)).toBe(text));

it.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [4_240, '4.2 s'],
  [59_000, '59 s'],
  [60_000, '1 min'],
  [200_000, '3 min 20 s'],
  [7_500_000, '2 h 5 min'],
  [273_600_000, '3 d 4 h'],
])('%d ms last %s', (ms, text) => expect(duration(ms)).toBe(text));

describe('relative times', () => {
  const now = Date.parse('2026-11-23T10:00:00.000Z');
  it.each([
    ['2026-11-23T09:59:58.000Z', 'just now'],
    ['2026-11-23T10:00:03.000Z', 'just now'],
    ['2026-11-23T09:59:20.000Z', '40 s ago'],
    ['2026-11-23T09:12:00.000Z', '48 min ago'],
    ['2026-11-22T09:00:00.000Z', '1 d ago'],
    ['2026-11-23T10:10:00.000Z', 'in 10 min'],
    ['nonsense', 'nonsense'],
  ])('%s was %s', (time, text) => expect(ago(time, now)).toBe(text));
});

it('writes times and identities', () => {
  expect(absolute('2026-11-23T11:05:37.120Z')).toBe('2026-11-23 11:05:37.120 UTC');
  expect(timeOfDay('2026-11-23T11:05:37.120Z')).toBe('11:05:37.120');
  expect(short('ab'.repeat(32))).toBe('abababab');
});

describe('a transfer', () => {
  const half = { step: 'ReceiveImage', doneBytes: 1_073_741_824, totalBytes: 2_147_483_648, bytesPerSecond: 104_857_600 };
  it('says bytes, rate and what is left', () => expect(transferText(half)).toBe('1.0 GiB of 2.0 GiB · 100 MiB/s · ~10 s left'));
  it('predicts nothing at first, without a rate, or at the end', () => {
    for (const changed of [
      { doneBytes: 0 },
      { bytesPerSecond: 0 },
      { doneBytes: half.totalBytes },
      { doneBytes: 0, totalBytes: 0 },
    ])
      expect(transferText({ ...half, ...changed })).not.toContain('left');
  });
});
