import type { KeyManager, KeyRecord, KeyView } from '@carnet/keys';
import type { KeyDetail, KeyRow } from './service.ts';

/** Keys as they are held now; with `former`, also as they were held before they left and came back. */
export async function keyRows(
  keys: Pick<KeyManager, 'list' | 'consumersOf'>,
  { former }: { readonly former?: boolean },
): Promise<readonly KeyRow[]> {
  const records = await keys.list(former === true ? {} : { only: 'newest' });
  const newest = new Map<string, number>();
  for (const { key, version, arrival } of records)
    newest.set(`${key}/${version}`, Math.max(arrival, newest.get(`${key}/${version}`) ?? 0));
  const consumers = await keys.consumersOf([...new Set(records.map(({ key }) => key))]);
  return records.map((record) => {
    const current = newest.get(`${record.key}/${record.version}`) === record.arrival;
    return keyRow(record, current, current ? (consumers.get(record.key) ?? []) : []);
  });
}

/** A record for people: states, origin, provenance. Nothing of a key's value is in a record to begin with. */
const keyRow = (record: KeyRecord, current: boolean, consumers: readonly string[]): KeyRow => ({
  key: record.key,
  version: record.version,
  arrival: record.arrival,
  current,
  project: record.tenant,
  kind: record.kind,
  state: record.state,
  origin: record.origin,
  artifact: record.artifact,
  consumers,
  createdAt: record.createdAt,
  changedAt: record.changedAt,
  provenance: provenanceOf(record),
  ...(record.replaces === undefined ? {} : { replaces: `${record.replaces.key} version ${record.replaces.version}` }),
});

export const keyDetail = (view: KeyView): KeyDetail => ({
  ...keyRow(view, true, view.consumers),
  history: view.history.map(({ arrival, to, at, actor, reason }) => ({ arrival, state: to, at, actor, reason })),
  holdings: view.holdings.map(({ arrival, state, origin, createdAt, changedAt }) => ({
    arrival,
    state,
    origin,
    createdAt,
    changedAt,
  })),
});

function provenanceOf({ provenance: p }: KeyRecord): readonly string[] {
  return p === undefined
    ? []
    : [`migration ${p.migration}`, `source ${p.source}`, `deposit ${p.deposit}`, `release ${p.release}`];
}
