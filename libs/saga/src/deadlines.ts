import { type Timestamp, type TrustDomain, unreachable } from '@carnet/events';
import { type Journey, type MigrationState, type Side, sideOf } from './journey.ts';
import { APPEND_MARGIN_MS, DELIVERY_GRACE_MS } from './limits.ts';
import { earliest, shift } from './time.ts';

/** From this instant on the side, waiting or not, owes its giving up. `undefined`: it may not, or need not, give up by time. */
export const givesUpAt = (m: MigrationState, side: Side): Timestamp | undefined =>
  side === 'source' ? sourceGivesUpAt(m) : targetGivesUpAt(m);

function sourceGivesUpAt(m: MigrationState): Timestamp | undefined {
  const intent = m.facts.MigrationIntended;
  if (!intent) return undefined;
  const { deadline, offerBy } = intent.data;
  const { MigrationOffered: offer, KeyDeposited: deposit, TargetReady: ready } = m.facts;
  switch (m.sourcePhase) {
    case 'intended':
      if (offer) return shift(earliest(deadline, offer.data.until), -APPEND_MARGIN_MS);
      return earliest(deadline, shift(offerBy, DELIVERY_GRACE_MS));
    case 'agreed':
      return shift(deadline, -APPEND_MARGIN_MS);
    case 'deposited':
    case 'quiesced':
    case 'sealed':
      return shift(earliest(deadline, deposit?.data.notAfter ?? deadline, ready?.data.until ?? deadline), -APPEND_MARGIN_MS);
    case 'released':
    case 'retired':
    case 'withdrawn':
    case 'reclaimed':
    case 'resumed':
      return undefined;
    default:
      return unreachable(m.sourcePhase);
  }
}

/** The target waits longer than the source: what the source said in time may still be on its way. */
function targetGivesUpAt(m: MigrationState): Timestamp | undefined {
  const { MigrationIntended: intent, MigrationOffered: offer, TargetReady: ready } = m.facts;
  if (!intent || m.facts.KeyReleased) return undefined;
  const { deadline } = intent.data;
  switch (m.targetPhase) {
    case 'offered':
      return shift(
        m.sourcePhase === 'intended' ? earliest(deadline, offer?.data.until ?? deadline) : deadline,
        DELIVERY_GRACE_MS,
      );
    case 'acknowledged':
      return shift(deadline, DELIVERY_GRACE_MS);
    case 'ready':
    case 'verified':
      return shift(earliest(deadline, ready?.data.until ?? deadline), DELIVERY_GRACE_MS);
    case 'idle':
    case 'refused':
    case 'imported':
    case 'replaced':
    case 'authorized':
    case 'started':
    case 'healthy':
    case 'rekeyed':
    case 'finalized':
    case 'relinquished':
    case 'fenced':
    case 'discarded':
      return undefined;
    default:
      return unreachable(m.targetPhase);
  }
}

/**
 * After this instant the source may break the glass, if the target has not answered: what it said in time has had its time to come.
 * Of facts of the source's own ledger alone, so that a guard may ask it.
 */
export const breakGlassFrom = (m: MigrationState): Timestamp | undefined => {
  const intent = m.facts.MigrationIntended;
  return intent && shift(intent.data.deadline, DELIVERY_GRACE_MS);
};

/** When to call `react` again if nothing else happens: the next instant at which this CSP would give up by itself. */
export function nextDeadline(journey: Journey, self: TrustDomain): Timestamp | undefined {
  const instants = journey.migrations.flatMap((m) => {
    const side = sideOf(m, self);
    return (side && givesUpAt(m, side)) ?? [];
  });
  const [first, ...others] = instants;
  return first === undefined ? undefined : earliest(first, ...others);
}
