import { type BreakGlassDecision, type EventOf, event, type PolicyDecision } from '@carnet/events';
import { decideBreakGlass, decideMove, moveOf, type PolicySet, questionAbout } from '@carnet/policy';
import type { Entry } from '../rows.ts';

type Verdict = Pick<PolicyDecision, 'allowed' | 'determining' | 'reasons'>;
/** A decision that stands in a ledger, and what a set decides on the facts that were quoted then. */
export interface Past {
  readonly migration: string;
  readonly side: 'source' | 'target';
  readonly decided: Verdict;
  readonly again: (set: PolicySet) => Verdict;
}

/** On an intent, by either side. */
export function onIntent(intent: EventOf<'MigrationIntended'>, decided: PolicyDecision): Past {
  const move = moveOf(intent);
  return {
    migration: intent.migration,
    side: decided.asked.action === 'send' ? 'source' : 'target',
    decided,
    again: (set) => decideMove(set, questionAbout(move, decided.asked), move),
  };
}

/** On one of the persons who broke a glass, by the source. */
const onGlass = ({ migration, data }: EventOf<'MigrationIntended'>, decided: BreakGlassDecision): Past => ({
  migration,
  side: 'source',
  decided,
  again: (set) => decideBreakGlass(set, decided.asked, data),
});

export function decisionsIn(entries: readonly Entry[]): readonly (Past & { readonly by: string })[] {
  const events = entries.flatMap((entry) => event.safeParse(entry.event).data ?? []);
  const intents = new Map(
    events.flatMap((one) => (one.type === 'MigrationIntended' ? [[`${one.publisher} ${one.migration}`, one]] : [])),
  );
  return events.flatMap((one): readonly (Past & { readonly by: string })[] => {
    const by = one.publisher;
    switch (one.type) {
      case 'MigrationIntended':
        return [{ ...onIntent(one, one.data.policy), by }];
      case 'MigrationOffered':
      case 'MigrationRefused': {
        const intent = intents.get(`${one.audience} ${one.migration}`);
        return intent === undefined || one.data.policy === undefined ? [] : [{ ...onIntent(intent, one.data.policy), by }];
      }
      case 'BreakGlassResumed': {
        const intent = intents.get(`${by} ${one.migration}`);
        return intent === undefined ? [] : (one.data.policy ?? []).map((decided) => ({ ...onGlass(intent, decided), by }));
      }
      default:
        return [];
    }
  });
}
