import type { Column } from './output.ts';
import { humanBytes } from './output.ts';
import { type Key, keyColumns } from './rows.ts';

export interface Rotation {
  readonly project: string;
  readonly version: number;
  readonly deks: number;
  readonly secrets: number;
  readonly left: number;
  readonly done: boolean;
  readonly destroyed: readonly number[];
}
export interface KeyUse {
  readonly n: number;
  readonly at: string;
  readonly operation: string;
  readonly principal: string;
  readonly reason: string;
  readonly vm: string;
  readonly host?: string;
  readonly peer?: string;
  readonly migration?: string;
  readonly digest: string;
}
export interface UsesVerdict {
  readonly intact: boolean;
  readonly uses: number;
  readonly head: string;
  readonly brokenAt?: number;
}

const column = <R>(name: string, cell: Column<R>['cell'], tone?: Column<R>['tone']): Column<R> => ({
  name,
  cell,
  ...(tone === undefined ? {} : { tone }),
});

export const keyDetailColumns: readonly Column<Key>[] = [
  ...keyColumns,
  column('vm', (k) => k.vm),
  column('algorithm', (k) => k.algorithm),
  column('derivation', (k) => k.derivation),
  column('capacity', (k) => humanBytes(k.capacityBytes)),
  column('luks header', (k) => k.headerDigest),
  column('image root', (k) => k.imageRoot),
  column('kek version', (k) => k.kekVersion),
  column('source', (k) => k.source),
  column('migration', (k) => k.migration),
  column('epoch', (k) => k.epoch),
  column('created', (k) => k.createdAt),
  column('valid', (k) => (k.validFrom === undefined ? undefined : `${k.validFrom} to ${k.validTo ?? 'now'}`)),
  column('history', (k) =>
    k.history
      .map((one) => `${one.at} ${one.state} (${one.actor}: ${one.reason})${one.signature === undefined ? '' : ' signed'}`)
      .join('; '),
  ),
  column(
    'history chain',
    (k) => k.historyChain,
    (k) => (k.historyChain === 'broken' ? 'bad' : 'good'),
  ),
  column('shared with', (k) => k.shared?.map(({ peer, direction }) => `${direction === 'in' ? 'from' : 'to'} ${peer}`).join(' ')),
  column('provenance', (k) => k.provenance.join(' ')),
  column(
    'reported',
    (k) => reported(k),
    (k) => (k.reportedCompromisedBy.length > 0 ? 'bad' : undefined),
  ),
];

/** A peer's word changes nothing here, and says so. */
function reported({ reports, reportedCompromisedBy }: Key): string | undefined {
  const said = (reports ?? []).map(({ peer, to, reason, at }) => `${at} ${peer}: ${to} there (${reason})`);
  const marks = reportedCompromisedBy.map((peer) => `reported compromised by ${peer}; its state here is yours to decide`);
  return [...marks, ...said].join('; ') || undefined;
}

export const rotationColumns: readonly Column<Rotation>[] = [
  column('project', (r) => r.project),
  column('kek version', (r) => r.version),
  column('keys', (r) => r.deks),
  column('secrets', (r) => r.secrets),
  column('left', (r) => r.left),
  column('destroyed', (r) => r.destroyed.join(' ') || 'none'),
];

export const useColumns: readonly Column<KeyUse>[] = [
  column('n', (u) => u.n),
  column('at', (u) => u.at),
  column('operation', (u) => u.operation),
  column('principal', (u) => u.principal),
  column('reason', (u) => u.reason),
  column('vm', (u) => u.vm),
  column('where', (u) => u.host ?? u.peer),
  column('migration', (u) => u.migration),
];

export const verdictColumns: readonly Column<UsesVerdict>[] = [
  column(
    'verdict',
    (v) => (v.intact ? 'intact' : `broken at use ${v.brokenAt}`),
    (v) => (v.intact ? 'good' : 'bad'),
  ),
  column('uses', (v) => v.uses),
  column('head', (v) => v.head),
];
