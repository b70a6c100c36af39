import type { TrustDomain } from '@carnet/events';
import { describe, expect, test } from 'vitest';
import { evolve } from './evolve.ts';
import { SAID_WHILE_STILL, standsStill } from './journey.ts';
import { react } from './react.ts';
import { summarize } from './summarize.ts';
import {
  begun,
  CSP_A,
  CSP_B,
  deliver,
  digestOf,
  finish,
  given,
  M,
  owes,
  type Party,
  phase,
  propose,
  REASON,
  relinquish,
  START,
  step,
  withdraw,
} from './testing.ts';
import { shift } from './time.ts';

describe('waiting owes nothing', () => {
  test.each([
    ['MigrationIntended', [], ['AnswerIntent']],
    ['MigrationOffered', ['AgreeOffer'], []],
    ['OfferAgreed', ['DepositKeys'], []],
    ['KeyDeposited', [], ['AcknowledgeDeposit']],
    ['DepositAcknowledged', [], ['ReadyTarget']],
    ['TargetReady', ['QuiesceVm'], []],
    ['SourceQuiesced', ['SealImage'], []],
    ['ImageSealed', [], ['ReceiveImage']],
    ['ImageVerified', ['ReleaseKeys'], []],
    ['KeyReleased', [], ['ImportKeys']],
    ['KeyImported', [], ['AuthorizeStart']],
    ['StartAuthorized', [], ['StartVm']],
    ['VmStarted', [], ['ObserveHealth']],
    ['VmHealthy', [], ['RekeyVolumes']],
    ['VolumeRekeyed', [], ['Finalize']],
    ['MigrationFinalized', ['RetireSource'], []],
    ['SourceRetired', [], []],
  ] as const)('after %s the source owes %j, the target %j', (last, source, target) => {
    const { a, b } = given(last);
    expect([owes(a), owes(b)]).toEqual([source, target]);
  });
});

describe('a VM stands still', () => {
  const ofAll = ({ a, b }: { readonly a: Party; readonly b: Party }) =>
    [a, b].map(({ journey }) => journey.migrations.some(standsStill));

  test.each([
    ['TargetReady', false],
    ['SourceQuiesced', true],
    ['ImageVerified', true],
    ['KeyReleased', true],
    ['StartAuthorized', true],
    ['VmStarted', false],
    ['SourceRetired', false],
  ] as const)('after %s: %s, to both sides, and what was said tells so', (last, still) => {
    expect(ofAll(given(last))).toEqual([still, still]);
    expect(SAID_WHILE_STILL.has(last)).toBe(still);
  });

  test('after a withdrawal until it runs at the source again; and not at all, if it was never stopped', () => {
    const quiesced = given('SourceQuiesced');
    const withdrawn = deliver({ a: withdraw(quiesced.a), b: quiesced.b });
    expect(ofAll(withdrawn)).toEqual([true, true]);
    expect(ofAll(finish(withdrawn))).toEqual([false, false]);
    const early = given('OfferAgreed');
    expect(ofAll(deliver({ a: withdraw(early.a), b: early.b }))).toEqual([false, false]);
  });
});

describe('endings', () => {
  test('refused: the source closes its side', () => {
    let { a, b } = deliver(begun());
    const intent = a.journey.migrations[0]?.facts.MigrationIntended?.digest ?? digestOf('0');
    b = propose(b, { type: 'MigrationRefused', migration: M, data: { intent, reasons: [REASON] } }, START);
    ({ a, b } = deliver({ a, b }));
    expect(owes(a)).toEqual(['Withdraw']);
    ({ a, b } = finish({ a, b }));
    expect([phase(a), owes(a), owes(b)]).toEqual(['refused', [], []]);
  });

  test('withdrawn before any offer: the target owes nothing', () => {
    const { a, b } = finish({ ...begun(), a: withdraw(begun().a) });
    expect([phase(b), b.ledger.length, owes(a), owes(b)]).toEqual(['withdrawn', 0, [], []]);
  });

  test.each([
    'MigrationOffered',
    'KeyDeposited',
    'DepositAcknowledged',
  ] as const)('withdrawn after %s: the target relinquishes, nothing to resume', (last) => {
    const { a, b } = given(last);
    const withdrawn = deliver({ a: withdraw(a), b });
    expect([owes(withdrawn.a), owes(withdrawn.b)]).toEqual([[], ['Relinquish']]);
    expect(finish(withdrawn).a.journey.migrations[0]).toMatchObject({ sourcePhase: 'withdrawn', targetPhase: 'relinquished' });
  });

  test.each([
    'TargetReady',
    'SourceQuiesced',
    'ImageSealed',
    'ImageVerified',
  ] as const)('withdrawn after %s: the VM may have stopped, so it is resumed', (last) => {
    const { a, b } = given(last);
    const after = finish({ a: withdraw(a), b });
    expect([phase(after.a), phase(after.b), owes(after.a), owes(after.b)]).toEqual(['rolled-back', 'rolled-back', [], []]);
    expect(after.a.ledger.at(-1)?.event.type).toBe('SourceResumed');
  });

  test.each([
    'SourceQuiesced',
    'ImageVerified',
    'KeyReleased',
    'KeyImported',
    'StartAuthorized',
  ] as const)('relinquished after %s: the source resumes', (last) => {
    const { a, b } = given(last);
    const after = finish({ a, b: relinquish(b) });
    expect([phase(after.a), after.a.ledger.at(-1)?.event.type]).toEqual(['rolled-back', 'SourceResumed']);
  });

  test('release and relinquishment cross: the target has ended, the source resumes', () => {
    const { a, b } = given('ImageVerified');
    const crossed = finish({ a: step(a, START), b: relinquish(b) });
    expect(crossed.a.journey).toEqual(crossed.b.journey);
    expect(crossed.a.journey.migrations[0]).toMatchObject({ sourcePhase: 'resumed', targetPhase: 'relinquished' });
  });

  test('withdrawal and offer cross: both end', () => {
    const { a, b } = deliver(begun());
    const crossed = finish({ a: withdraw(a), b: step(b, START) });
    expect([phase(crossed.a), phase(crossed.b)]).toEqual(['withdrawn', 'withdrawn']);
  });

  test('withdrawal and readiness cross: nothing was stopped, nothing is resumed', () => {
    const { a, b } = given('DepositAcknowledged');
    const crossed = finish({ a: withdraw(a), b: step(b, START) });
    expect(crossed.a.journey.migrations[0]).toMatchObject({ sourcePhase: 'withdrawn', targetPhase: 'relinquished' });
  });
});

describe('time', () => {
  const late = shift(START, 86_400_000);

  test.each([
    'MigrationIntended',
    'OfferAgreed',
    'KeyDeposited',
    'TargetReady',
    'SourceQuiesced',
    'ImageVerified',
  ] as const)('%s: an expired source withdraws', (last) => {
    expect(owes(given(last).a, late)).toEqual(['Withdraw']);
  });

  test.each([
    'MigrationOffered',
    'DepositAcknowledged',
    'TargetReady',
    'ImageVerified',
  ] as const)('%s: an expired target relinquishes', (last) => {
    expect(owes(given(last).b, late)).toEqual(['Relinquish']);
  });

  test.each(['KeyReleased', 'KeyImported', 'StartAuthorized'] as const)('%s: no timer gives the VM back', (last) => {
    const { a, b } = given(last);
    expect(owes(a, late)).toEqual([]);
    expect(owes(b, late)).toEqual(owes(b));
  });

  test('a release after the promise is refused, and void if published', () => {
    const { a } = given('ImageVerified');
    const [owed] = react(a.journey, CSP_A, START);
    expect(owed?.type).toBe('ReleaseKeys');
    const { a: released } = given('KeyReleased');
    const event = released.ledger.at(-1);
    if (!event) throw new Error('no release');
    expect(evolve(a.journey, { ...event, event: { ...event.event, time: late } }).voidCode).toBe('TOO_LATE');
  });
});

describe('who can open the image', () => {
  const custody = (p: Party): readonly (readonly [string, readonly TrustDomain[], readonly TrustDomain[]])[] =>
    p.journey.migrations.flatMap((m) => summarize(m).custody.map((c) => [c.event, c.canOpen, c.suspended] as const));

  test('the source until release, then the target; retired, the source never again', () => {
    expect(custody(given('ImageVerified').a)).toEqual([['MigrationIntended', [CSP_A], []]]);
    expect(custody(given('SourceRetired').a)).toEqual([
      ['MigrationIntended', [CSP_A], []],
      ['KeyReleased', [CSP_B], [CSP_A]],
      ['SourceRetired', [CSP_B], []],
    ]);
  });

  test('a release that crossed a relinquishment opened nothing', () => {
    const { a, b } = given('ImageVerified');
    const { a: after } = finish({ a: step(a, START), b: relinquish(b) });
    expect(custody(after)).toEqual([
      ['MigrationIntended', [CSP_A], []],
      ['KeyReleased', [], [CSP_A]],
      ['MigrationRelinquished', [], [CSP_A]],
      ['SourceResumed', [CSP_A], []],
    ]);
  });
});
