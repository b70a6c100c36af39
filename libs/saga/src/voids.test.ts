import { type ArtifactKind, artifactId, type Draft, epoch, hostName, keyId, type MigrationEvent } from '@carnet/events';
import { describe, expect, test } from 'vitest';
import type { VoidCode } from './codes.ts';
import { decide } from './decide.ts';
import { evolve } from './evolve.ts';
import type { FactType, Journey } from './journey.ts';
import {
  CSP_A,
  CSP_B,
  digestOf,
  given,
  intentData,
  M,
  migration,
  type Party,
  placed,
  REASON,
  RECEIPT,
  START,
} from './testing.ts';

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

  describe('a deposit', () => {
    const tpm = {
      artifact: artifactId.parse('0b1c2d3e-0000-4000-8000-000000000001'),
      key: keyId.parse('0b1c2d3e-0000-4000-8000-000000000002'),
    };
    const extra = (kind: ArtifactKind, key = tpm.key): object => ({ ...tpm, key, version: 1, kind });
    const { a } = given('OfferAgreed');
    const withTpm: Journey = {
      ...a.journey,
      migrations: a.journey.migrations.map((m) => {
        const intent = m.facts.MigrationIntended;
        if (intent === undefined) throw new Error('no intent');
        const spec = { ...intent.data.spec, tpm };
        return { ...m, facts: { ...m.facts, MigrationIntended: { ...intent, data: { ...intent.data, spec } } } };
      }),
    };
    const deposit = given('KeyDeposited').a.ledger.find(({ event }) => event.type === 'KeyDeposited')?.event;
    const lie = (journey: Journey, ...more: readonly object[]): VoidCode | undefined => {
      if (deposit?.type !== 'KeyDeposited') throw new Error('no deposit');
      const keys = [...deposit.data.keys, ...more] as typeof deposit.data.keys;
      return lies(a, { ...deposit, data: { ...deposit.data, keys } }, journey);
    };

    test.each([
      ['the key of a vTPM that the VM has not', a.journey, [extra('vtpm')]],
      ['a key of a kind that the VM has none of', a.journey, [extra('nvram')]],
      ['no key of its vTPM', withTpm, []],
      ['another key of its vTPM', withTpm, [extra('vtpm', keyId.parse('0b1c2d3e-0000-4000-8000-000000000003'))]],
    ])('with %s', (_, journey, more) => {
      expect(lie(journey, ...more)).toBe('KEYS_DIFFER');
    });

    test('with all of them is lawful', () => {
      expect([lie(a.journey), lie(withTpm, extra('vtpm'))]).toEqual([undefined, undefined]);
    });
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
    expect(lies(before, { ...said, data: { ...said.data, host: hostName.parse('host-2') } })).toBe('HOST_DIFFERS');
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
