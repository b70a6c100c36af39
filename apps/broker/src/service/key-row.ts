import type { KeyRecord, KeyView } from '@carnet/keys';
import type { KeyRow } from './key-rows.ts';

const ALGORITHMS: Readonly<Record<KeyRecord['derivation'], string>> = {
  'luks-passphrase-hex': 'LUKS key slot, 256 bit',
  'aes-256-gcm-stream': 'AES-256-GCM',
};

const ENDED: ReadonlySet<string> = new Set(['deactivated', 'compromised', 'destroyed', 'destroyed-compromised']);

/** A record for people: states, origin, provenance. Nothing of a key's value is in a record to begin with. */
export function keyRow(record: KeyRecord | KeyView, reportedCompromisedBy: readonly string[]): KeyRow {
  const view = 'history' in record ? record : undefined;
  const { vm, headerDigest, imageRoot, kekVersion, provenance } = record;
  return {
    key: record.key,
    version: record.version,
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
    consumers: view?.consumers ?? (vm === undefined ? [] : [`vm:${vm}`]),
    createdAt: record.createdAt,
    ...(view === undefined ? {} : validityOf(view)),
    history: (view?.history ?? []).map(({ to, at, actor, reason, digest, cause, signature }) => ({
      state: to,
      at,
      actor,
      reason,
      digest,
      ...(cause === undefined ? {} : { cause }),
      ...(signature === undefined ? {} : { signature }),
    })),
    provenance: provenanceOf(record),
    reportedCompromisedBy,
    ...(view === undefined ? {} : { historyChain: view.historyChain, shared: view.shared, reports: reportsOf(view) }),
  };
}

/** Of the newest holding: a key that left and came back began anew. */
function validityOf({ history, arrival }: KeyView): Pick<KeyRow, 'validFrom' | 'validTo'> {
  const lines = history.filter((line) => line.arrival === arrival);
  const from = lines.find(({ to }) => to === 'active')?.at;
  const to = lines.find((line) => ENDED.has(line.to))?.at;
  return { ...(from === undefined ? {} : { validFrom: from }), ...(to === undefined ? {} : { validTo: to }) };
}

const reportsOf = ({ reports }: KeyView): NonNullable<KeyRow['reports']> =>
  reports.map(({ event, peer, from, to, reason, at }) => ({ event, peer, from, to, reason, at }));

function provenanceOf({ provenance: p }: KeyRecord): readonly string[] {
  return p === undefined
    ? []
    : [`migration ${p.migration}`, `source ${p.source}`, `deposit ${p.deposit}`, `release ${p.release}`];
}
