import { compromisedBy, type KeyManager, type KeyRecord, type KeyView } from '@carnet/keys';
import type { KeyDetail, KeyRow } from './key-rows.ts';

const ALGORITHMS: Readonly<Record<KeyRecord['derivation'], string>> = {
  'swtpm-passphrase-hex': 'AES-256-CBC (swtpm state)',
  'luks-passphrase-hex': 'LUKS key slot, 256 bit',
  'aes-256-gcm-stream': 'AES-256-GCM',
};

const ENDED: ReadonlySet<string> = new Set(['deactivated', 'compromised', 'destroyed', 'destroyed-compromised']);

/** What is known of a holding beside its own record. */
interface Beside {
  readonly current: boolean;
  readonly consumers: readonly string[];
  readonly reportedCompromisedBy: readonly string[];
}

/** Keys as they are held now; with `former`, also as they were held before they left and came back. */
export async function keyRows(
  keys: Pick<KeyManager, 'list' | 'consumersOf' | 'reportedCompromised'>,
  { former }: { readonly former?: boolean },
): Promise<readonly KeyRow[]> {
  const records = await keys.list(former === true ? {} : { only: 'newest' });
  const newest = new Map<string, number>();
  for (const { key, version, arrival } of records)
    newest.set(`${key}/${version}`, Math.max(arrival, newest.get(`${key}/${version}`) ?? 0));
  const consumers = await keys.consumersOf([...new Set(records.map(({ key }) => key))]);
  const reported = await keys.reportedCompromised();
  return records.map((record) => {
    const current = newest.get(`${record.key}/${record.version}`) === record.arrival;
    return keyRow(record, {
      current,
      consumers: current ? (consumers.get(record.key) ?? []) : [],
      reportedCompromisedBy: reported.get(record.key) ?? [],
    });
  });
}

/** A record for people: states, origin, provenance. Nothing of a key's value is in a record to begin with. */
function keyRow(record: KeyRecord, beside: Beside): KeyRow {
  const { vm, headerDigest, imageRoot, kekVersion, provenance, replaces } = record;
  return {
    key: record.key,
    version: record.version,
    arrival: record.arrival,
    current: beside.current,
    project: record.tenant,
    ...(vm === undefined ? {} : { vm }),
    kind: record.kind,
    state: record.state,
    origin: record.origin,
    artifact: record.artifact,
    capacityBytes: record.capacityBytes,
    algorithm: ALGORITHMS[record.derivation],
    derivation: record.derivation,
    ...(headerDigest === undefined ? {} : { headerDigest }),
    ...(imageRoot === undefined ? {} : { imageRoot }),
    ...(kekVersion === undefined ? {} : { kekVersion }),
    ...(provenance === undefined ? {} : { source: provenance.source, migration: provenance.migration, epoch: provenance.epoch }),
    consumers: beside.consumers,
    createdAt: record.createdAt,
    changedAt: record.changedAt,
    provenance: provenanceOf(record),
    ...(replaces === undefined ? {} : { replaces: `${replaces.key} version ${replaces.version}` }),
    reportedCompromisedBy: beside.reportedCompromisedBy,
  };
}

/** Of one look: what is said of reports is what they say. */
export const keyDetail = (view: KeyView): KeyDetail => ({
  ...keyRow(view, { current: true, consumers: view.consumers, reportedCompromisedBy: compromisedBy(view.reports) }),
  ...validityOf(view),
  history: view.history.map(({ arrival, to, at, actor, reason, digest, cause, signature }) => ({
    arrival,
    state: to,
    at,
    actor,
    reason,
    digest,
    ...(cause === undefined ? {} : { cause }),
    ...(signature === undefined ? {} : { signature }),
  })),
  historyChain: view.historyChain,
  holdings: view.holdings.map(({ arrival, state, origin, createdAt, changedAt }) => ({
    arrival,
    state,
    origin,
    createdAt,
    changedAt,
  })),
  shared: view.shared,
  reports: reportsOf(view),
});

/** Of the newest holding: a key that left and came back began anew. */
function validityOf({ history, arrival }: KeyView): Pick<KeyDetail, 'validFrom' | 'validTo'> {
  const lines = history.filter((line) => line.arrival === arrival);
  const from = lines.find(({ to }) => to === 'active')?.at;
  const to = lines.find((line) => ENDED.has(line.to))?.at;
  return { ...(from === undefined ? {} : { validFrom: from }), ...(to === undefined ? {} : { validTo: to }) };
}

const reportsOf = ({ reports }: KeyView): KeyDetail['reports'] =>
  reports.map(({ event, peer, from, to, reason, at }) => ({ event, peer, from, to, reason, at }));

function provenanceOf({ provenance: p, recovered: r }: KeyRecord): readonly string[] {
  const migrated =
    p === undefined ? [] : [`migration ${p.migration}`, `source ${p.source}`, `deposit ${p.deposit}`, `release ${p.release}`];
  const recovered = r === undefined ? [] : [`escrow ${r.escrow}`, `recovery ${r.recovery}`, `recovered ${r.statement}`];
  return [...migrated, ...recovered];
}
