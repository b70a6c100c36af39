import type { IntentRequest, PolicyAnnounced, Timestamp } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import type { PolicySet } from '@carnet/policy';
import type { WaitingRequest } from './requests.ts';

/** A request that waits for a second person. */
export interface RequestRow {
  readonly migration: string;
  readonly request: IntentRequest;
  readonly principal: string;
  readonly approvedBy: readonly string[];
  readonly askedAt: string;
}

/** A policy set that was announced in a ledger. */
export interface PolicySetRow {
  readonly version: number;
  readonly policySet: string;
  readonly schema: string;
  readonly entities: string;
  readonly engine: string;
  readonly revocations?: PolicyAnnounced['revocations'];
  /** By the events that announced it. */
  readonly since: Timestamp;
  /** What this broker decides by now. */
  readonly current: boolean;
}

/** The set that this broker decides by, policies of Carnet included, with the files that give the same set elsewhere. */
export interface CurrentPolicy {
  readonly csp: string;
  readonly version: number;
  readonly policySet: string;
  readonly engine: string;
  readonly policies: readonly {
    readonly id: string;
    readonly effect: 'permit' | 'forbid';
    readonly annotations: Readonly<Record<string, string>>;
    readonly text: string;
  }[];
  readonly files: Readonly<Record<string, string>>;
}

export const requestRow = ({ request, record, approvals, askedAt }: WaitingRequest): RequestRow => ({
  migration: request.migration,
  request,
  principal: record.principal,
  approvedBy: approvals.map(({ principal }) => principal),
  askedAt,
});

/** Every set that this CSP announced to any peer, oldest first. */
export async function policySetRows(
  journal: Pick<Journal, 'policiesAnnounced'>,
  { ruledBy }: PolicySet,
): Promise<readonly PolicySetRow[]> {
  const rows = new Map<string, PolicySetRow>();
  for (const { event } of await journal.policiesAnnounced()) {
    if (event?.type !== 'PolicyAnnounced') continue;
    const { policySet, engine } = event.data;
    const key = `${policySet} ${engine}`;
    const since = rows.get(key)?.since ?? event.time;
    const current = policySet === ruledBy.policySet && engine === ruledBy.engine;
    rows.set(key, { ...event.data, since: event.time < since ? event.time : since, current });
  }
  return [...rows.values()].toSorted((a, b) => a.version - b.version);
}

export const currentPolicy = (
  csp: string,
  { ruledBy: { version, policySet, engine }, policies, files }: PolicySet,
): CurrentPolicy => ({
  csp,
  version,
  policySet,
  engine,
  policies,
  files: Object.fromEntries(files),
});
