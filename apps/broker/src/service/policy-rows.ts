import type { Journal } from '@carnet/journal';
import type { PolicySet } from '@carnet/policy';
import type { WaitingRequest } from './requests.ts';
import type { CurrentPolicy, PolicySetRow, RequestRow } from './service.ts';

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
