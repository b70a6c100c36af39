import type { Column } from './output.ts';
import { humanBytes } from './output.ts';
import { arrivalText, type Key, keyColumns } from './rows.ts';

export interface KeyDetail extends Key {
  readonly validFrom?: string;
  readonly validTo?: string;
  readonly history: readonly {
    readonly arrival: number;
    readonly state: string;
    readonly at: string;
    readonly actor: string;
    readonly reason: string;
    readonly signature?: unknown;
  }[];
  readonly historyChain: string;
  readonly holdings: readonly {
    readonly arrival: number;
    readonly state: string;
    readonly origin: string;
    readonly createdAt: string;
    readonly changedAt: string;
  }[];
  readonly shared: readonly { readonly peer: string; readonly migration: string; readonly direction: string }[];
  readonly reports: readonly { readonly peer: string; readonly to: string; readonly reason: string; readonly at: string }[];
}
export interface Rotation {
  readonly project: string;
  readonly version: number;
  readonly deks: number;
  readonly secrets: number;
  readonly outside: number;
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

/** With what was held before: which of a key's rows counts is then said. */
export const allKeyColumns: readonly Column<Key>[] = [
  ...keyColumns,
  column(
    'holding',
    (k) => (k.current ? 'latest' : 'former'),
    (k) => (k.current ? 'good' : undefined),
  ),
];
export const keyDetailColumns: readonly Column<KeyDetail>[] = [
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
  column('holdings', (k) =>
    k.holdings.map(
      (one, i) =>
        `${arrivalText(one.arrival)}, ${one.origin}, ${one.state} since ${one.changedAt} (${i === 0 ? 'latest' : 'former'})`,
    ),
  ),
  column('history', (k) =>
    k.history.map((one) => `${one.at} ${one.state} (${one.actor}: ${one.reason})${one.signature === undefined ? '' : ' signed'}`),
  ),
  column(
    'history chain',
    (k) => k.historyChain,
    (k) => (k.historyChain === 'broken' ? 'bad' : 'good'),
  ),
  column('shared with', (k) => k.shared.map(({ peer, direction }) => `${direction === 'in' ? 'from' : 'to'} ${peer}`)),
  column('provenance', (k) => k.provenance),
  column('replaces', (k) => k.replaces),
  column(
    'reported',
    (k) => reported(k),
    (k) => (k.reportedCompromisedBy.length > 0 ? 'bad' : undefined),
  ),
];

/** A peer's word changes nothing here, and says so. */
function reported({ reports, reportedCompromisedBy }: KeyDetail): readonly string[] {
  const said = reports.map(({ peer, to, reason, at }) => `${at} ${peer}: ${to} there (${reason})`);
  const marks = reportedCompromisedBy.map((peer) => `reported compromised by ${peer}; its state here is yours to decide`);
  return [...marks, ...said];
}

export const rotationColumns: readonly Column<Rotation>[] = [
  column('project', (r) => r.project),
  column('kek version', (r) => r.version),
  column('keys', (r) => r.deks),
  column('secrets', (r) => r.secrets),
  column('in another key manager', (r) => r.outside),
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
