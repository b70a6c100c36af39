import { type Timestamp, type TrustDomain, unreachable } from '@carnet/events';
import type { CommandType } from './command.ts';
import { givesUpAt } from './deadlines.ts';
import { type Fact, isSplitSuspected, type Journey, type MigrationState, mustResume, type Side } from './journey.ts';
import { react } from './react.ts';

/** By whose word the VM may run. What an operator must know before touching anything; a pure function of the pair of phases. */
export type Standing =
  /** Nothing was stopped, by what the source has said. */
  | 'at-source'
  /** The source stopped it, and can let it run again alone. */
  | 'stopped'
  /** The key is out, and the target has neither taken the VM nor given it back. */
  | 'in-doubt'
  /** The source may run it again, and has not said yet that it does. */
  | 'returning'
  /** The target has taken it; only the way forward is left. */
  | 'at-target'
  /** The glass was broken, and the target has not said yet that nothing of the VM is left there. */
  | 'split'
  | 'stayed'
  | 'moved';

/** What one side still has to do, and when it gives up if it cannot. */
export type Turn = {
  readonly side: Side;
  readonly csp: TrustDomain;
  readonly owes: readonly CommandType[];
  readonly givesUpAt: Timestamp | undefined;
};

export type Diagnosis = {
  readonly standing: Standing;
  /** The last thing that either side said. */
  readonly since: Timestamp | undefined;
  /** Whoever owes something now; empty once both have ended. */
  readonly turns: readonly Turn[];
};

/** Where a migration stands at `now`, and who must act: by the ledgers alone, so both sides find the same once both have all events. */
export function diagnose(journey: Journey, m: MigrationState, now: Timestamp): Diagnosis {
  const turns = (['source', 'target'] as const).map((side): Turn => {
    const csp = side === 'source' ? m.source : m.target;
    const owes = react(journey, csp, now).flatMap((command) => (command.migration === m.id ? command.type : []));
    return { side, csp, owes, givesUpAt: givesUpAt(m, side) };
  });
  return { standing: standingOf(m), since: lastWord(m), turns: turns.filter(({ owes }) => owes.length > 0) };
}

export function standingOf(m: MigrationState): Standing {
  if (isSplitSuspected(m)) return 'split';
  if (m.targetPhase === 'relinquished') return m.sourcePhase === 'released' || mustResume(m) ? 'returning' : sourceAlone(m);
  if (m.facts.StartAuthorized) return m.sourcePhase === 'retired' ? 'moved' : 'at-target';
  return sourceAlone(m);
}

function sourceAlone(m: MigrationState): Standing {
  switch (m.sourcePhase) {
    case 'intended':
    case 'agreed':
    case 'deposited':
      return 'at-source';
    case 'quiesced':
    case 'sealed':
      return 'stopped';
    case 'released':
    case 'retired':
      return 'in-doubt';
    case 'reclaimed':
      return 'returning';
    case 'withdrawn':
      return mustResume(m) ? 'returning' : 'stayed';
    case 'resumed':
      return 'stayed';
    default:
      return unreachable(m.sourcePhase);
  }
}

function lastWord({ facts }: MigrationState): Timestamp | undefined {
  const said = Object.values(facts) as readonly Fact[];
  return said
    .map(({ time }) => time)
    .toSorted()
    .at(-1);
}
