import type { Timestamp } from '@carnet/events';
import type { FactType } from '../journey.ts';
import { react } from '../react.ts';
import { phaseOf } from '../summarize.ts';
import { type Party, party, propose, receive, step } from './party.ts';
import { RECEIPT } from './performer.ts';
import { CSP_A, CSP_B, EVIDENCE, FIRST_EPOCH, intentData, migration, START } from './samples.ts';

/** Two brokers that are brought to a point of a migration, for given/when/then. */
export type Pair = { readonly a: Party; readonly b: Party };
export const REASON = { code: 'OPERATOR', text: 'changed my mind' };
export const M = migration(1);

export const deliver = ({ a, b }: Pair): Pair => {
  let [source, target] = [a, b];
  while (target.received < a.ledger.length) target = receive(target, a);
  while (source.received < b.ledger.length) source = receive(source, b);
  return { a: source, b: target };
};

export const begun = (): Pair => ({
  a: propose(
    party(CSP_A, CSP_B),
    { type: 'MigrationIntended', migration: M, epoch: FIRST_EPOCH, data: intentData('suspend') },
    START,
  ),
  b: party(CSP_B, CSP_A),
});

/** A pair of brokers at the moment when this event has been published and has arrived. */
export function given(last: FactType, now: Timestamp = START): Pair {
  let pair = deliver(begun());
  for (let steps = 0; steps < 40; steps++) {
    if ([...pair.a.ledger, ...pair.b.ledger].some(({ event }) => event.type === last)) return pair;
    const a = step(pair.a, now);
    pair = deliver(a === pair.a ? { ...pair, b: step(pair.b, now) } : { ...pair, a });
  }
  throw new Error(`no ${last}`);
}

export const owes = (p: Party, now: Timestamp = START): readonly string[] =>
  react(p.journey, p.self, now).map(({ type }) => type);
export const phase = (p: Party): string => p.journey.migrations.map(phaseOf).join();
export const withdraw = (p: Party): Party => propose(p, { type: 'Withdraw', migration: M, reason: REASON }, START);
export const relinquish = (p: Party): Party =>
  propose(p, { type: 'Relinquish', migration: M, reason: REASON, receipt: RECEIPT, never: EVIDENCE }, START);
export const finish = (pair: Pair, now: Timestamp = START): Pair => {
  let next = deliver(pair);
  for (let i = 0; i < 40; i++) next = deliver({ a: step(next.a, now), b: step(next.b, now) });
  return next;
};
