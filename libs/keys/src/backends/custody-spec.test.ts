import { randomBytes } from 'node:crypto';
import { trustDomain } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCustody, encodeCustody } from './custody-spec.ts';

const holder = trustDomain.parse('csp-a.example');

describe('a custody on its way to the child', () => {
  it('comes out as it went in', () => {
    const spec = fc.record({
      rootSecret: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      token: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      readers: fc.array(fc.stringMatching(/^[0-9a-f]{32}$/), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(spec, ({ rootSecret, token, readers }) => {
        const barbican = { url: 'https://barbican.example', holder, readers };
        const there = decodeCustody(encodeCustody({ root: { kind: 'key' }, rootSecret, barbican, token }));
        expect(there?.barbican).toEqual(barbican);
        expect([...(there?.rootSecret ?? [])]).toEqual([...rootSecret]);
        expect([...(there?.token ?? [])]).toEqual([...token]);
      }),
    );
  });

  it('cut anywhere before its token, or with a root of another size, it is none', () => {
    const whole = encodeCustody({ root: { kind: 'key' }, rootSecret: randomBytes(32) });
    for (let end = 0; end < whole.length; end += 1) expect(decodeCustody(whole.subarray(0, end))).toBeUndefined();
    expect(decodeCustody(whole)).toBeDefined();
    expect(decodeCustody(encodeCustody({ root: { kind: 'key' }, rootSecret: randomBytes(16) }))).toBeUndefined();
  });
});
