import type { KeyRecord, KeyView } from '@carnet/keys';
import type { KeyRow } from './service.ts';

/** A record for people: states, origin, provenance. Nothing of a key's value is in a record to begin with. */
export function keyRow(record: KeyRecord | KeyView): KeyRow {
  const view = 'history' in record ? record : undefined;
  return {
    key: record.key,
    version: record.version,
    project: record.tenant,
    kind: record.kind,
    state: record.state,
    origin: record.origin,
    artifact: record.artifact,
    consumers: view?.consumers ?? (record.vm === undefined ? [] : [`vm:${record.vm}`]),
    createdAt: record.createdAt,
    history: (view?.history ?? []).map((line) => ({ state: line.to, at: line.at, actor: line.actor, reason: line.reason })),
    provenance: provenanceOf(record),
    ...(record.replaces === undefined ? {} : { replaces: `${record.replaces.key} version ${record.replaces.version}` }),
  };
}

function provenanceOf({ provenance: p }: KeyRecord): readonly string[] {
  return p === undefined
    ? []
    : [`migration ${p.migration}`, `source ${p.source}`, `deposit ${p.deposit}`, `release ${p.release}`];
}
