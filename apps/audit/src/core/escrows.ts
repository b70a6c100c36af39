import { type Digest, type Event, type EventData, type EventOf, isSamePerson, type Timestamp } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';

type EscrowType = 'KeyEscrowed' | 'EscrowDrilled' | 'RecoveryRequested' | 'RecoveryApproved' | 'KeyRecovered';
export type EscrowEvent = EventOf<EscrowType>;
type EscrowCode = 'ESCROW_REPEATED' | 'ESCROW_DRILL_DIFFERS' | 'RECOVERY_UNASKED' | 'RECOVERY_PERSON' | 'RECOVERY_UNAPPROVED';

const TYPES: ReadonlySet<string> = new Set([
  'KeyEscrowed',
  'EscrowDrilled',
  'RecoveryRequested',
  'RecoveryApproved',
  'KeyRecovered',
]);
export const isEscrowEvent = (event: Event): event is EscrowEvent => TYPES.has(event.type);

type Asked = {
  readonly said: EventData<'RecoveryRequested'>;
  readonly approvals: Map<string, Digest>;
  recovered: boolean;
};

/** What an honest CSP may have had to say, too: nobody is convicted by it. */
type Remark = { readonly code: 'RECOVERY_LATE'; readonly text: string; readonly expected: string; readonly got: string };
type Judged = Checked<Remark | null, EscrowCode>;

/** Whether what a ledger says of escrows is what its rules allow: M approvals, each by another custodian, before the key. */
export type Escrows = { readonly judge: (event: EscrowEvent) => Judged };

/** Each ledger by itself. */
export function openEscrows(): Escrows {
  const ledgers = new Map<string, Escrows>();
  return {
    judge: (event) => {
      const name = `${event.publisher} ${event.audience}`;
      const ledger = ledgers.get(name) ?? escrowsOfLedger();
      ledgers.set(name, ledger);
      return ledger.judge(event);
    },
  };
}

/** A peer that came later than an escrow has no word of it: what rests on it cannot be judged, and is not. */
function escrowsOfLedger(): Escrows {
  const dealt = new Map<string, EventData<'KeyEscrowed'>>();
  const asked = new Map<string, Asked>();
  /** Escrows that anything was said of. */
  const spoken = new Set<string>();
  const deal = ({ data }: EventOf<'KeyEscrowed'>): Judged => {
    // Threat: other terms, with a smaller M, put in place of those under which custodians gave their shares.
    if (spoken.has(data.escrow)) return refuse('ESCROW_REPEATED', 'it was dealt, or used, before', { got: data.escrow });
    dealt.set(data.escrow, data);
    return accept(null);
  };
  const approve = ({ data, time }: EventOf<'RecoveryApproved'>): Judged => {
    const request = asked.get(data.recovery);
    const escrow = dealt.get(data.escrow);
    if (request === undefined)
      return escrow === undefined ? accept(null) : refuse('RECOVERY_UNASKED', 'nobody asked for what was approved');
    const elsewhere = otherEscrow(request, data);
    if (elsewhere !== undefined) return elsewhere;
    const others = [request.said.asker, ...request.approvals.keys()];
    const again = others.find((other) => isSamePerson(other, data.custodian));
    if (again !== undefined)
      return refuse('RECOVERY_PERSON', 'one person took two steps', { got: `${data.custodian} and ${again}` });
    if (escrow?.shares.some(({ custodian }) => custodian === data.custodian) === false)
      return refuse('RECOVERY_PERSON', 'who approved has no share of the escrow', { got: data.custodian });
    request.approvals.set(data.custodian, data.statement);
    return accept(lateness(request, time));
  };
  const recover = ({ data, time }: EventOf<'KeyRecovered'>): Judged => {
    const request = asked.get(data.recovery);
    const escrow = dealt.get(data.escrow);
    if (request === undefined)
      return escrow === undefined ? accept(null) : refuse('RECOVERY_UNASKED', 'nobody asked for what was recovered');
    const elsewhere = otherEscrow(request, data);
    if (elsewhere !== undefined) return elsewhere;
    if (request.recovered) return refuse('RECOVERY_UNASKED', 'it was recovered before');
    const approvals = new Set(data.approvals);
    const known = new Set(request.approvals.values());
    const unknown = data.approvals.find((approval) => !known.has(approval));
    if (unknown !== undefined)
      return refuse('RECOVERY_UNAPPROVED', 'it names an approval that was not published', { got: unknown });
    if (escrow !== undefined && approvals.size < escrow.threshold)
      return refuse('RECOVERY_UNAPPROVED', 'fewer approved than must agree', {
        expected: String(escrow.threshold),
        got: String(approvals.size),
      });
    if (escrow !== undefined && (escrow.key !== data.key || escrow.version !== data.version))
      return refuse('RECOVERY_UNASKED', 'another key was recovered', {
        expected: `${escrow.key} version ${escrow.version}`,
        got: `${data.key} version ${data.version}`,
      });
    request.recovered = true;
    return accept(lateness(request, time));
  };
  const judge = (event: EscrowEvent): Judged => {
    switch (event.type) {
      case 'KeyEscrowed':
        return deal(event);
      case 'EscrowDrilled':
        return drilled(event.data, dealt.get(event.data.escrow));
      case 'RecoveryRequested':
        if (asked.has(event.data.recovery)) return refuse('RECOVERY_UNASKED', 'it was asked for before');
        asked.set(event.data.recovery, { said: event.data, approvals: new Map(), recovered: false });
        return accept(null);
      case 'RecoveryApproved':
        return approve(event);
      case 'KeyRecovered':
        return recover(event);
    }
  };
  return {
    judge: (event) => {
      const judged = judge(event);
      spoken.add(event.data.escrow);
      return judged;
    },
  };
}

/** Threat: a step that names an escrow that nobody witnessed is held to no M. The request says which escrow it is. */
const otherEscrow = ({ said }: Asked, { escrow }: { readonly escrow: string }): Judged | undefined =>
  escrow === said.escrow
    ? undefined
    : refuse('RECOVERY_UNASKED', 'it names another escrow than its request', { expected: said.escrow, got: escrow });

/**
 * An event is dated when it is told, and a ledger that could not be written then (quarantined, say) is told days later. When the step was taken, only
 * the statement says, of which the event has the digest.
 */
const lateness = ({ said: { notAfter } }: Asked, time: Timestamp): Remark | null =>
  time <= notAfter
    ? null
    : {
        code: 'RECOVERY_LATE',
        text: 'it was told after its request had ended: too late, or the ledger could not be written before',
        expected: notAfter,
        got: time,
      };

/** A drill names each custodian, once. */
function drilled({ proven, failed }: EventData<'EscrowDrilled'>, escrow: EventData<'KeyEscrowed'> | undefined): Judged {
  if (escrow === undefined) return accept(null);
  const [expected, got] = [escrow.shares.map(({ custodian }) => custodian), [...proven, ...failed]].map((names) =>
    names.toSorted().join(),
  );
  return expected === got
    ? accept(null)
    : refuse('ESCROW_DRILL_DIFFERS', 'the drill names others than hold shares', {
        ...(expected === undefined ? {} : { expected }),
        ...(got === undefined ? {} : { got }),
      });
}
