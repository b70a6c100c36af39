import { digest, escrowId, event, keyId, recoveryId, spiffeId, type Timestamp, timestamp } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { type EscrowEvent, isEscrowEvent, openEscrows } from './core/escrows.ts';

const ESCROW = escrowId.parse('01936ad4-0000-7000-8000-0000000000e1');
const UNSEEN = escrowId.parse('01936ad4-0000-7000-8000-0000000000e3');
const RECOVERY = recoveryId.parse('01936ad4-0000-7000-8000-0000000000e2');
const KEY = keyId.parse('4b4e28ba-2fa1-41d2-883f-0016d3cca427');
const [EARLY, NOT_AFTER, LATE] = ['10', '11', '12'].map((hour) => timestamp.parse(`2026-11-23T${hour}:00:00.000Z`)) as [
  Timestamp,
  Timestamp,
  Timestamp,
];
const who = (name: string) => spiffeId.parse(`spiffe://csp-a.example/${name}`);
const [ANNA, BEN, CLEO, OLGA] = ['custodian/anna', 'custodian/ben', 'custodian/cleo', 'operator/olga'].map(who) as [
  ReturnType<typeof who>,
  ReturnType<typeof who>,
  ReturnType<typeof who>,
  ReturnType<typeof who>,
];
const said = (n: number) => digest.parse(String(n).padStart(64, '0'));

function placed(type: EscrowEvent['type'], data: object, time: Timestamp = EARLY): EscrowEvent {
  const common = { v: 1, publisher: 'csp-a.example', audience: 'csp-b.example', seq: '2', prev: said(0), causes: [], time };
  const parsed = event.parse({ ...common, id: '01936ad4-0000-7000-8000-000000000010', type, data });
  if (!isEscrowEvent(parsed)) throw new Error('no event of an escrow');
  return parsed;
}
const share = (custodian: string) => ({ custodian, sealed: said(1), verify: Buffer.alloc(32).toString('base64') });
const dealing = (over: object = {}) =>
  placed('KeyEscrowed', {
    escrow: ESCROW,
    key: KEY,
    version: 1,
    threshold: 2,
    shares: [ANNA, BEN, CLEO].map(share),
    statement: said(2),
    ...over,
  });
const dealt = dealing();
const requested = (asker = OLGA) =>
  placed('RecoveryRequested', { escrow: ESCROW, recovery: RECOVERY, asker, notAfter: NOT_AFTER, statement: said(3) });
const approved = (custodian: string, n: number, time = EARLY, escrow = ESCROW) =>
  placed('RecoveryApproved', { escrow, recovery: RECOVERY, custodian, statement: said(n) }, time);
const recovered = (approvals: readonly number[], time = EARLY, over: object = {}) =>
  placed(
    'KeyRecovered',
    { escrow: ESCROW, recovery: RECOVERY, key: KEY, version: 1, approvals: approvals.map(said), statement: said(9), ...over },
    time,
  );
const drilled = (proven: readonly string[], failed: readonly string[]) =>
  placed('EscrowDrilled', { escrow: ESCROW, drill: ESCROW, proven, failed, statement: said(8) });

/** The first fault in a ledger of these, and what is remarked before it. */
function judged(...events: readonly EscrowEvent[]): { readonly fault: string; readonly remarks: readonly string[] } {
  const escrows = openEscrows();
  const remarks: string[] = [];
  for (const one of events) {
    const verdict = escrows.judge(one);
    if (!verdict.ok) return { fault: `${one.type} ${verdict.code}`, remarks };
    if (verdict.value !== null) remarks.push(`${one.type} ${verdict.value.code}`);
  }
  return { fault: 'none', remarks };
}
const faultOf = (...events: readonly EscrowEvent[]): string => judged(...events).fault;

describe('what a ledger says of escrows', () => {
  it('is in order: M approvals by M custodians, in time, and then the key', () => {
    expect(
      faultOf(dealt, drilled([ANNA], [CLEO, BEN]), requested(), approved(ANNA, 4), approved(CLEO, 5), recovered([4, 5])),
    ).toBe('none');
  });

  it('cannot be judged by who came later than the escrow', () => {
    expect(faultOf(approved(ANNA, 4), recovered([4, 5]), drilled([], [BEN]))).toBe('none');
  });

  it('told after the request’s end convicts nobody, who may have been kept from telling it; it is remarked, and counts', () => {
    const steps = [approved(ANNA, 4), approved(BEN, 5, LATE), recovered([4, 5], LATE)];
    expect(judged(dealt, requested(), ...steps)).toEqual({
      fault: 'none',
      remarks: ['RecoveryApproved RECOVERY_LATE', 'KeyRecovered RECOVERY_LATE'],
    });
    expect(judged(dealt, requested(), approved(ANNA, 4), approved(BEN, 5, NOT_AFTER)).remarks).toEqual([]);
  });

  it.each<[string, readonly EscrowEvent[], string]>([
    ['fewer than M', [dealt, requested(), approved(ANNA, 4), recovered([4, 4])], 'KeyRecovered RECOVERY_UNAPPROVED'],
    [
      'an approval that nobody published',
      [dealt, requested(), approved(ANNA, 4), recovered([4, 7])],
      'KeyRecovered RECOVERY_UNAPPROVED',
    ],
    ['one custodian twice', [dealt, requested(), approved(ANNA, 4), approved(ANNA, 5)], 'RecoveryApproved RECOVERY_PERSON'],
    ['who asked approves', [dealt, requested(who('operator/anna')), approved(ANNA, 4)], 'RecoveryApproved RECOVERY_PERSON'],
    ['no custodian of it', [dealt, requested(), approved(who('custodian/dora'), 4)], 'RecoveryApproved RECOVERY_PERSON'],
    [
      'fewer than M, told late',
      [dealt, requested(), approved(ANNA, 4, LATE), recovered([4, 4], LATE)],
      'KeyRecovered RECOVERY_UNAPPROVED',
    ],
    ['nobody asked', [dealt, recovered([4, 5])], 'KeyRecovered RECOVERY_UNASKED'],
    ['nobody asked for what is approved', [dealt, approved(ANNA, 4)], 'RecoveryApproved RECOVERY_UNASKED'],
    ['asked twice', [dealt, requested(), requested()], 'RecoveryRequested RECOVERY_UNASKED'],
    [
      'recovered twice',
      [dealt, requested(), approved(ANNA, 4), approved(BEN, 5), recovered([4, 5]), recovered([4, 5])],
      'KeyRecovered RECOVERY_UNASKED',
    ],
    [
      'another key',
      [
        dealt,
        requested(),
        approved(ANNA, 4),
        approved(BEN, 5),
        recovered([4, 5], EARLY, { key: '5b4e28ba-2fa1-41d2-883f-0016d3cca427' }),
      ],
      'KeyRecovered RECOVERY_UNASKED',
    ],
    [
      'another version of the key',
      [dealt, requested(), approved(ANNA, 4), approved(BEN, 5), recovered([4, 5], EARLY, { version: 2 })],
      'KeyRecovered RECOVERY_UNASKED',
    ],
    [
      'below M, under an escrow that nobody witnessed',
      [dealt, requested(), approved(ANNA, 4), recovered([4, 4], EARLY, { escrow: UNSEEN })],
      'KeyRecovered RECOVERY_UNASKED',
    ],
    [
      'an approval by no custodian, under an escrow that nobody witnessed',
      [dealt, requested(), approved(who('custodian/dora'), 4, EARLY, UNSEEN)],
      'RecoveryApproved RECOVERY_UNASKED',
    ],
    [
      'dealt again with a smaller M',
      [dealing({ threshold: 3 }), requested(), approved(ANNA, 4), approved(BEN, 5), dealt, recovered([4, 5])],
      'KeyEscrowed ESCROW_REPEATED',
    ],
    [
      'dealt only after it was used',
      [requested(), approved(ANNA, 4), approved(BEN, 5), dealt, recovered([4, 5])],
      'KeyEscrowed ESCROW_REPEATED',
    ],
    ['a drill that leaves out who failed', [dealt, drilled([ANNA, BEN], [])], 'EscrowDrilled ESCROW_DRILL_DIFFERS'],
  ])('is a violation: %s', (_name, events, code) => {
    expect(faultOf(...events)).toBe(code);
  });
});
