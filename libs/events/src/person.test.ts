import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { approverFault, isSamePerson, personOf } from './person.ts';

const ANNA = 'spiffe://csp-a.example/operator/anna';

describe('a second person', () => {
  it.each([
    ['spiffe://csp-a.example/operator/anna', 'SELF_APPROVAL'],
    ['spiffe://csp-a.example/duty/anna', 'SELF_APPROVAL'],
    ['keystone/0123/anna', 'SELF_APPROVAL'],
    ['https://idp.example/anna', 'SELF_APPROVAL'],
    ['api-key/anna', 'SELF_APPROVAL'],
    ['api-key/nightly', 'APPROVER_NO_PERSON'],
    ['spiffe://csp-a.example/operator/bob', undefined],
    ['spiffe://csp-a.example/operator/anna2', undefined],
  ])('beside Anna: %s is %s', (approver, fault) => {
    expect(approverFault(approver, ANNA)).toBe(fault);
  });

  it('is one under every name that ends alike', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.stringMatching(/^[^/]*$/), (a, b, person) => {
        expect([personOf(`${a}/${person}`), isSamePerson(`${a}/${person}`, `${b}/${person}`)]).toEqual([person, true]);
        expect(approverFault(`${a}/${person}`, `${b}/${person}`)).toBe('SELF_APPROVAL');
      }),
    );
  });
});
