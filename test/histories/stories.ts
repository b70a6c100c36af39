import { type Epoch, epoch, type MigrationMode, type RekeyMethod, timestamp } from '@carnet/events';
import type { FactType, Placed, Proposal } from '@carnet/saga';
import {
  append,
  breakGlassData,
  CSP_A,
  CSP_B,
  EVIDENCE,
  intentData,
  migration,
  type Party,
  party,
  propose,
  RECEIPT,
  receive,
  START,
  step,
} from '../../libs/saga/src/testing.ts';

/** Two brokers and everything they have said, in the order in which it was said. */
type Telling = { readonly a: Party; readonly b: Party; readonly said: readonly Placed[] };
type Who = 'a' | 'b';

const opening: Telling = { a: party(CSP_A, CSP_B), b: party(CSP_B, CSP_A), said: [] };
const LATE = timestamp.parse(START.replace('T10', 'T23'));
const reason = { code: 'OPERATOR', text: 'changed their mind' };

const says = (t: Telling, who: Who, next: Party): Telling => ({
  ...t,
  [who]: next,
  said: [...t.said, ...next.ledger.slice(t[who].ledger.length)],
});
const does = (t: Telling, who: Who, proposal: Proposal): Telling => says(t, who, propose(t[who], proposal, START));
const doesLate = (t: Telling, who: Who, proposal: Proposal): Telling => says(t, who, propose(t[who], proposal, LATE));
const performs = (t: Telling, who: Who, now = START): Telling => says(t, who, step(t[who], now));

function arrives(t: Telling): Telling {
  let { a, b } = t;
  while (a.received < t.b.ledger.length) a = receive(a, t.b);
  while (b.received < t.a.ledger.length) b = receive(b, t.a);
  return { ...t, a, b };
}

/** Both perform what they owe, and all arrives, until this event is there, or nothing is left to do. */
function goOn(t: Telling, until?: FactType, now = START): Telling {
  let telling = arrives(t);
  for (;;) {
    const before = telling.said.length;
    for (const who of ['a', 'b'] as const) {
      if (telling.said.at(-1)?.event.type === until && until) return arrives(telling);
      telling = arrives(performs(telling, who, now));
    }
    if (telling.said.length === before) return telling;
  }
}

const intends = (t: Telling, who: Who, mode: MigrationMode, generation = 1, rekey?: RekeyMethod): Telling => {
  const number: Epoch = epoch.parse(generation);
  const data = intentData(mode, t[who].self, t[who].peer, START, rekey);
  return does(t, who, { type: 'MigrationIntended', migration: migration(generation), epoch: number, data });
};

const withdraws = (t: Telling): Telling => does(t, 'a', { type: 'Withdraw', migration: migration(1), reason });
const relinquishes = (t: Telling): Telling =>
  does(t, 'b', { type: 'Relinquish', migration: migration(1), reason, receipt: RECEIPT, never: EVIDENCE });

function refuses(t: Telling): Telling {
  const intent = t.said[0]?.digest;
  return intent ? does(t, 'b', { type: 'MigrationRefused', migration: migration(1), data: { intent, reasons: [reason] } }) : t;
}

/** A liar says once more what it has said. */
const repeats = (t: Telling, who: Who, type: FactType): Telling => {
  const said = t[who].ledger.find(({ event }) => event.type === type);
  return said ? arrives(says(t, who, append(t[who], said.event, START))) : t;
};

/** A liar authorises the start at once, as if nothing had been agreed; then goes on as agreed. */
function startsEarly(t: Telling): readonly Placed[] {
  const imported = t.b.ledger.find(({ event }) => event.type === 'KeyImported');
  const offered = t.b.ledger.find(({ event }) => event.type === 'MigrationOffered')?.event;
  if (imported?.event.type !== 'KeyImported' || offered?.type !== 'MigrationOffered') return t.said;
  const { event, digest } = imported;
  const data = { imported: digest, host: offered.data.agent.host, startVcpus: true };
  return goOn(says(t, 'b', append(t.b, { ...event, type: 'StartAuthorized', causes: [], data }, START))).said;
}

/** A source that hears nothing takes the VM back, while its target runs it; then all arrives, and the target gives its copy up. */
function breaksTheGlass(): readonly Placed[] {
  const released = goOn(intends(opening, 'a', 'cold'), 'KeyReleased');
  const release = released.a.ledger.find(({ event }) => event.type === 'KeyReleased')?.digest;
  if (!release) return released.said;
  const ran = Array.from({ length: 4 }).reduce<Telling>((t) => performs(t, 'b'), released);
  const broken = doesLate(ran, 'a', { type: 'BreakGlassResumed', migration: migration(1), data: breakGlassData(release, 2) });
  const fenced = goOn(performs(broken, 'a', LATE), undefined, LATE);
  const copy = fenced.b.ledger.find(({ event }) => event.type === 'CopyFenced')?.digest;
  if (!copy) return fenced.said;
  const data = { fenced: copy, by: 'spiffe://csp-b.example/operator/olga', reason, receipt: RECEIPT };
  return goOn(doesLate(fenced, 'b', { type: 'CopyDiscarded', migration: migration(1), data }), undefined, LATE).said;
}

/** Named for what happens; each is one golden file. A story is never changed: what behaves differently is a new one. */
export const STORIES: Readonly<Record<string, () => readonly Placed[]>> = {
  'cold-to-the-end': () => goOn(intends(opening, 'a', 'cold')).said,
  'suspend-to-the-end': () => goOn(intends(opening, 'a', 'suspend')).said,
  'there-and-back': () => goOn(intends(goOn(intends(opening, 'a', 'cold')), 'b', 'suspend', 2)).said,
  refused: () => goOn(refuses(arrives(intends(opening, 'a', 'cold')))).said,
  'withdrawn-before-an-offer': () => goOn(withdraws(intends(opening, 'a', 'cold'))).said,
  'withdrawn-when-ready': () => goOn(withdraws(goOn(intends(opening, 'a', 'cold'), 'TargetReady'))).said,
  'relinquished-after-verification': () => goOn(relinquishes(goOn(intends(opening, 'a', 'suspend'), 'ImageVerified'))).said,
  'relinquished-after-release': () => goOn(relinquishes(goOn(intends(opening, 'a', 'cold'), 'KeyReleased'))).said,
  'relinquished-after-authorisation': () => goOn(relinquishes(goOn(intends(opening, 'a', 'cold'), 'StartAuthorized'))).said,
  'release-crosses-relinquishment': () =>
    goOn(relinquishes(performs(goOn(intends(opening, 'a', 'cold'), 'ImageVerified'), 'a'))).said,
  'expired-when-sealed': () => goOn(goOn(intends(opening, 'a', 'cold'), 'ImageSealed'), undefined, LATE).said,
  'second-attempt': () =>
    goOn(intends(goOn(relinquishes(goOn(intends(opening, 'a', 'cold'), 'TargetReady'))), 'a', 'cold', 2)).said,
  'rekeyed-by-slot': () => goOn(intends(opening, 'a', 'suspend', 1, 'slot')).said,
  'rekeyed-in-full': () => goOn(intends(opening, 'a', 'cold', 1, 'full')).said,
  'relinquished-when-rekeyed': () => goOn(relinquishes(goOn(intends(opening, 'a', 'cold', 1, 'full'), 'VolumeRekeyed'))).said,
  'glass-broken-while-the-target-ran': breaksTheGlass,
  'a-start-before-the-agreed-rekeying-is-void': () => startsEarly(goOn(intends(opening, 'a', 'cold', 1, 'full'), 'KeyImported')),
  'a-second-deposit-is-void': () => goOn(repeats(goOn(intends(opening, 'a', 'cold'), 'KeyDeposited'), 'a', 'KeyDeposited')).said,
  'a-repeated-intent-is-void': () => repeats(goOn(intends(opening, 'a', 'cold')), 'a', 'MigrationIntended').said,
};
