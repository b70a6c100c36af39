import { describe, expect, it } from 'vitest';
import { CSP_A, CSP_B, CSP_C, finish, given, type Party, relinquish, VM, withdraw } from '../../../../libs/saga/src/testing.ts';
import { dutiesOf, isHolderByLedgers, receivedFrom } from './escrow-holder.ts';

const holds = ({ journey, self }: Party): boolean => isHolderByLedgers(VM, [journey], self);

describe('the holder of the current epoch, by the ledgers', () => {
  it('before any move is the home of the VM', () => {
    expect([CSP_A, CSP_B, CSP_C].map((self) => isHolderByLedgers(VM, [], self))).toEqual([true, false, false]);
  });

  it.each([
    ['MigrationIntended', [false, false]],
    ['TargetReady', [false, false]],
    ['KeyReleased', [false, false]],
    ['KeyImported', [false, false]],
    ['VmStarted', [false, false]],
    ['MigrationFinalized', [false, true]],
    ['SourceRetired', [false, true]],
  ] as const)('after %s: source and target %j', (last, expected) => {
    const { a, b } = given(last);
    expect([holds(a), holds(b)]).toEqual(expected);
  });

  it('after a withdrawal is the source again', () => {
    const { a, b } = given('OfferAgreed');
    const ended = finish({ a: withdraw(a), b });
    expect([holds(ended.a), holds(ended.b)]).toEqual([true, false]);
  });

  it('after a release that the target gave up is the source, once it has resumed', () => {
    const { a, b } = given('KeyReleased');
    const ended = finish({ a, b: relinquish(b) });
    expect([holds(ended.a), holds(ended.b)]).toEqual([true, false]);
  });
});

describe('whose terms bind an escrow', () => {
  it.each([
    ['KeyReleased', [undefined, undefined]],
    ['KeyImported', [undefined, CSP_A]],
    ['SourceRetired', [undefined, CSP_A]],
  ] as const)('after %s: %j', (last, expected) => {
    const { a, b } = given(last);
    expect([a, b].map(({ journey, self }) => receivedFrom(VM, [journey], self))).toEqual(expected);
  });
});

describe('duties in an escrow', () => {
  it.each([
    [[], []],
    [['viewer', 'scheduler', 'auditor'], []],
    [['operator'], ['ask']],
    [['key-custodian'], ['ask']],
    [['administrator'], ['ask']],
    [['custodian'], ['hold']],
  ] as const)('roles %j: %j', (roles, duties) => {
    expect([...dutiesOf(roles)]).toEqual(duties);
  });
});
