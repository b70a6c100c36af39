import type { Draft, MigrationEvent, Timestamp, TrustDomain } from '@carnet/events';
import { epoch } from '@carnet/events';
import { describe, expect, test } from 'vitest';
import type { VoidCode } from './codes.ts';
import { decide } from './decide.ts';
import { evolve } from './evolve.ts';
import type { FactType, Journey } from './journey.ts';
import { hasFacts } from './journey.ts';
import { react } from './react.ts';
import { phaseOf, summarize } from './summarize.ts';
import {
  CSP_A,
  CSP_B,
  digestOf,
  EVIDENCE,
  FIRST_EPOCH,
  intentData,
  migration,
  type Party,
  party,
  placed,
  propose,
  RECEIPT,
  receive,
  START,
  step,
} from './testing.ts';
import { shift } from './time.ts';

type Pair = { readonly a: Party; readonly b: Party };
const REASON = { code: 'OPERATOR', text: 'changed my mind' };
const M = migration(1);

const deliver = ({ a, b }: Pair): Pair => {
  let [source, target] = [a, b];
  while (target.received < a.ledger.length) target = receive(target, a);
  while (source.received < b.ledger.length) source = receive(source, b);
  return { a: source, b: target };
};

const begun = (): Pair => ({
  a: propose(
    party(CSP_A, CSP_B),
    { type: 'MigrationIntended', migration: M, epoch: FIRST_EPOCH, data: intentData('suspend') },
    START,
  ),
  b: party(CSP_B, CSP_A),
});

/** A pair of brokers at the moment when this event has been published and has arrived. */
function given(last: FactType, now: Timestamp = START): Pair {
  let pair = deliver(begun());
  for (let steps = 0; steps < 40; steps++) {
    if ([...pair.a.ledger, ...pair.b.ledger].some(({ event }) => event.type === last)) return pair;
    const a = step(pair.a, now);
    pair = deliver(a === pair.a ? { ...pair, b: step(pair.b, now) } : { ...pair, a });
  }
  throw new Error(`no ${last}`);
}

const owes = (p: Party, now: Timestamp = START): readonly string[] => react(p.journey, p.self, now).map(({ type }) => type);
const phase = (p: Party): string => p.journey.migrations.map(phaseOf).join();
const withdraw = (p: Party): Party => propose(p, { type: 'Withdraw', migration: M, reason: REASON }, START);
const relinquish = (p: Party): Party =>
  propose(p, { type: 'Relinquish', migration: M, reason: REASON, receipt: RECEIPT, never: EVIDENCE }, START);
const finish = (pair: Pair, now: Timestamp = START): Pair => {
  let next = deliver(pair);
  for (let i = 0; i < 40; i++) next = deliver({ a: step(next.a, now), b: step(next.b, now) });
  return next;
};

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

describe('what is void', () => {
  /** A liar's event: the next of its ledger, unasked. */
  const lies = (p: Party, draft: Draft<MigrationEvent>, journey: Journey = p.journey): VoidCode | undefined =>
    evolve(journey, placed(draft, p.self, p.peer, p.ledger.length + 1, START)).voidCode;

  const again = (p: Party, type: FactType, change: (e: MigrationEvent) => MigrationEvent = (e) => e): VoidCode | undefined => {
    const said = p.ledger.find(({ event }) => event.type === type);
    return said && lies(p, change(said.event));
  };

  test('a second deposit', () => {
    expect(again(given('KeyDeposited').a, 'KeyDeposited')).toBe('SECOND_DEPOSIT');
  });

  test('an epoch that is not above all', () => {
    const { a } = given('SourceRetired');
    expect(again(a, 'MigrationIntended', (e) => ({ ...e, migration: migration(2) }))).toBe('EPOCH_REUSED');
  });

  test('another migration while one is open', () => {
    const { a } = given('TargetReady');
    expect(again(a, 'MigrationIntended', (e) => ({ ...e, migration: migration(2), epoch: epoch.parse(2) }))).toBe(
      'ALREADY_MOVING',
    );
  });

  test('moving a VM that has left', () => {
    const { a } = given('SourceRetired');
    expect(again(a, 'MigrationIntended', (e) => ({ ...e, migration: migration(2), epoch: epoch.parse(2) }))).toBe('VM_NOT_HERE');
    // Two hops elsewhere would have taken an epoch at least: it may be back through a third CSP.
    expect(again(a, 'MigrationIntended', (e) => ({ ...e, migration: migration(2), epoch: epoch.parse(3) }))).toBeUndefined();
  });

  test('the way back before the source has retired; after it, it is lawful', () => {
    const back = (p: Party) =>
      decide(
        p.journey,
        CSP_B,
        { type: 'MigrationIntended', migration: migration(2), epoch: epoch.parse(2), data: intentData('cold', CSP_B, CSP_A) },
        START,
      );
    expect(back(given('MigrationFinalized').b)).toMatchObject({ ok: false, code: 'PREVIOUS_OPEN' });
    expect(back(given('SourceRetired').b)).toMatchObject({ ok: true });
  });

  test('an event of the other side', () => {
    const { a, b } = given('KeyDeposited');
    const deposit = a.ledger.at(-1)?.event;
    if (!deposit) throw new Error('no deposit');
    expect(lies(b, deposit)).toBe('WRONG_PUBLISHER');
  });

  test('roots other than those sealed', () => {
    const { b } = given('ImageVerified');
    const before = given('ImageSealed').b.journey;
    const said = b.ledger.at(-1)?.event;
    if (said?.type !== 'ImageVerified') throw new Error('not verified');
    const roots = said.data.roots.map((r) => ({ ...r, root: digestOf('f') }));
    expect(lies(b, { ...said, data: { ...said.data, roots } }, before)).toBe('ROOTS_DIFFER');
  });

  test('a start on a host that was not offered, citations left out, another epoch', () => {
    const before = given('KeyImported').b;
    const said = given('StartAuthorized').b.ledger.at(-1)?.event;
    if (said?.type !== 'StartAuthorized') throw new Error('not authorised');
    expect(lies(before, { ...said, data: { ...said.data, host: agentHost } })).toBe('HOST_DIFFERS');
    expect(lies(before, { ...said, epoch: epoch.parse(9) })).toBe('EPOCH_MISMATCH');
    const imported = given('KeyImported').b.ledger.at(-1)?.event;
    if (!imported) throw new Error('not imported');
    expect(lies(given('KeyReleased').b, { ...imported, causes: [] })).toBe('CITATION_MISSING');
  });

  test('giving up without the word of the host, once a release may exist; giving up what has started', () => {
    const refused = (p: Party) =>
      decide(p.journey, CSP_B, { type: 'Relinquish', migration: M, reason: REASON, receipt: RECEIPT }, START);
    expect(refused(given('TargetReady').b)).toMatchObject({ ok: true });
    expect(refused(given('ImageVerified').b)).toMatchObject({ code: 'NEVER_MISSING' });
    expect(refused(given('StartAuthorized').b)).toMatchObject({ code: 'NEVER_MISSING' });
    expect(refused(given('VmStarted').b)).toMatchObject({ code: 'ALREADY_STARTED' });
  });

  test('withdrawing and resuming after release', () => {
    const { a } = given('KeyReleased');
    expect(decide(a.journey, CSP_A, { type: 'Withdraw', migration: M, reason: REASON }, START)).toMatchObject({
      code: 'ALREADY_RELEASED',
    });
    expect(decide(a.journey, CSP_A, { type: 'Resume', migration: M, ran: true }, START)).toMatchObject({ ok: false });
  });
});

const agentHost = intentHost();
function intentHost() {
  const facts = given('MigrationOffered').a.journey.migrations[0]?.facts ?? {};
  if (!hasFacts(facts, ['MigrationOffered'])) throw new Error('no offer');
  return facts.MigrationOffered.data.agent.host.replace('1', '2') as typeof facts.MigrationOffered.data.agent.host;
}

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
