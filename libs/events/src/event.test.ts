import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { event } from './event.ts';
import { EVENT_BYTES_MAX } from './limits.ts';
import { seq, text, timestamp, trustDomain, vmId } from './scalars.ts';
import { eventSubject, ledgerStream, subjectToken } from './subject.ts';
import { unreachable } from './unreachable.ts';
import { uuidv7 } from './uuid.ts';

const hex = 'ab'.repeat(32);
const refused = {
  id: '01932c07-0000-7000-8000-000000000001',
  type: 'MigrationRefused',
  v: 1,
  publisher: 'csp-b.example',
  audience: 'csp-a.example',
  seq: '2',
  prev: hex,
  causes: [hex],
  time: '2026-11-23T10:00:00.000Z',
  migration: '01932c07-0000-7000-8000-000000000002',
  epoch: 1,
  data: { intent: hex, reasons: [{ code: 'NO_ROOM', text: 'no host has 4 GiB free' }] },
};

/** Every path to a scalar or object inside the example. */
const paths = (value: unknown, at: readonly string[] = []): readonly (readonly string[])[] =>
  typeof value === 'object' && value !== null
    ? [at, ...Object.entries(value).flatMap(([key, inner]) => paths(inner, [...at, key]))]
    : [at];

const changed = (value: unknown, at: readonly string[], change: (inner: unknown) => unknown): unknown => {
  const [head, ...rest] = at;
  if (head === undefined) return change(value);
  if (Array.isArray(value)) return value.map((inner, i) => (String(i) === head ? changed(inner, rest, change) : inner));
  return Object.fromEntries(
    Object.entries(Object(value)).map(([key, inner]) => [key, key === head ? changed(inner, rest, change) : inner]),
  );
};

describe('event', () => {
  it('accepts a whole event', () => expect(event.safeParse(refused).success).toBe(true));

  it('refuses an unknown key at every level', () => {
    const objects = paths(refused).filter((path) => {
      const inner = path.reduce<unknown>((at, key) => Object(at)[key], refused);
      return typeof inner === 'object' && !Array.isArray(inner);
    });
    expect(objects.length).toBeGreaterThan(2);
    for (const path of objects)
      expect(event.safeParse(changed(refused, path, (inner) => ({ ...Object(inner), extra: 1 }))).success, path.join('.')).toBe(
        false,
      );
  });

  it('refuses any field of another kind', () => {
    for (const path of paths(refused)) {
      for (const other of [null, true, 1.5, [], '\u0000'])
        expect(event.safeParse(changed(refused, path, () => other)).success, `${path.join('.')} = ${JSON.stringify(other)}`).toBe(
          path.join('.') === 'causes' && Array.isArray(other),
        );
    }
  });

  it('is total on anything at all', () => {
    fc.assert(fc.property(fc.anything(), (value) => !event.safeParse(value).success));
  });
});

describe('scalars', () => {
  it.each([
    'csp_a.example',
    'CSP.example',
    'a..b',
    'localhost',
    '.a.b',
    'a.b.',
    `${'a'.repeat(64)}.example`,
    'a.1',
  ])('is no trust domain: %s', (name) => {
    expect(trustDomain.safeParse(name).success).toBe(false);
  });
  it.each(['0', '01', '-1', '1.0', '9007199254740993', ''])('is no sequence: %s', (value) =>
    expect(seq.safeParse(value).success).toBe(false));
  it.each([
    '2026-11-23T10:00:00Z',
    '2026-13-23T10:00:00.000Z',
    '2026-11-23 10:00:00.000Z',
    '2026-11-23T24:00:00.000Z',
  ])('is no timestamp: %s', (value) => expect(timestamp.safeParse(value).success).toBe(false));
  it('keeps texts from forging lines or turning a terminal around', () => {
    for (const bad of ['a\nb', '\u001b[31m', 'a\u202eb', '\u0085']) expect(text.safeParse(bad).success).toBe(false);
  });
  it('binds a VM to its home domain', () => expect(vmId.safeParse('33333333-3333-4333-8333-333333333333').success).toBe(false));
});

describe('subjects', () => {
  it('one domain never covers another', () => {
    const label = fc.stringMatching(/^[a-z][a-z0-9-]{0,5}[a-z0-9]$/);
    const domain = fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => trustDomain.parse(labels.join('.')));
    fc.assert(
      fc.property(
        domain,
        domain,
        (a, b) => (a === b) === (subjectToken(a) === subjectToken(b)) && /^[a-z0-9_-]+$/.test(ledgerStream(a, b)),
      ),
    );
  });
  it('says - where no migration is concerned', () => {
    expect(
      eventSubject({
        publisher: trustDomain.parse('csp-a.example'),
        audience: trustDomain.parse('csp-b.example'),
        type: 'KeyAnnounced',
      }),
    ).toBe('fed.csp-a_example.csp-b_example.key.-');
  });
});

describe('uuidv7', () => {
  it('orders by time and carries version and variant', () => {
    fc.assert(
      fc.property(fc.nat(), fc.uint8Array({ minLength: 10, maxLength: 10 }), (ms, random) => {
        const id = uuidv7(ms, random);
        return /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id) && id < uuidv7(ms + 1, random);
      }),
    );
  });
  it('refuses what is no time and too little randomness', () => {
    expect(() => uuidv7(-1, new Uint8Array(10))).toThrow(RangeError);
    expect(() => uuidv7(2 ** 48, new Uint8Array(10))).toThrow(RangeError);
    expect(() => uuidv7(0, new Uint8Array(9))).toThrow(RangeError);
  });
});

it('unreachable names what came', () => expect(() => unreachable('x' as never)).toThrow(/"x"/));
it('an event fits a NATS message', () => expect(EVENT_BYTES_MAX).toBeLessThan(1_048_576));
