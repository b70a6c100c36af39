import { type Custody, custodyColumns } from './custody-rows.ts';
import type { Column } from './output.ts';
import { humanBytes } from './output.ts';
import type { Tone } from './paint.ts';

/** What the broker answers (its OpenAPI document is the contract); only fields that are shown or decided upon. */
export interface Migration {
  readonly migration: string;
  readonly vm: string;
  readonly epoch: number;
  readonly source: string;
  readonly target: string;
  readonly mode: string;
  readonly phase: string;
  readonly sourcePhase: string;
  readonly targetPhase: string;
  readonly ended: boolean;
  readonly outcome: 'open' | 'done' | 'rolled-back' | 'refused' | 'withdrawn';
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly reasons: readonly { readonly code: string; readonly text: string }[];
}
export interface MigrationDetail extends Migration, Custody {
  readonly owed: readonly { readonly command: string; readonly attempt?: number }[];
  readonly custody: readonly { readonly at: string; readonly domains: readonly string[] }[];
  readonly progress?: {
    readonly step: string;
    readonly doneBytes: number;
    readonly totalBytes: number;
    readonly bytesPerSecond: number;
  };
  readonly lastFailure?: { readonly command: string; readonly code: string; readonly text: string; readonly at: string };
}
export interface Entry {
  readonly cursor: string;
  readonly digest: string;
  readonly publisher: string;
  readonly audience: string;
  readonly seq: string;
  readonly type: string;
  readonly time: string;
  readonly migration?: string;
  readonly epoch?: number;
  readonly voidCode?: string;
  readonly state: string;
  readonly event?: unknown;
  readonly envelope: string;
}
export interface Key {
  readonly key: string;
  readonly version: number;
  readonly arrival: number;
  readonly current: boolean;
  readonly project: string;
  readonly vm?: string;
  readonly kind: string;
  readonly state: string;
  readonly origin: string;
  readonly artifact: string;
  readonly capacityBytes: number;
  readonly algorithm: string;
  readonly derivation: string;
  readonly headerDigest?: string;
  readonly imageRoot?: string;
  readonly kekVersion?: number;
  readonly source?: string;
  readonly migration?: string;
  readonly epoch?: number;
  readonly consumers: readonly string[];
  readonly createdAt: string;
  readonly changedAt: string;
  readonly provenance: readonly string[];
  readonly replaces?: string;
  readonly reportedCompromisedBy: readonly string[];
}
export interface Peer {
  readonly domain: string;
  readonly state: string;
  readonly origin: string;
  readonly issuer?: string;
  readonly ownSeq: number;
  readonly acknowledgedSeq: number;
  readonly receivedSeq: number;
  readonly lastHeardAt?: string;
  readonly fingerprint?: string;
  readonly certificate?: string;
}
export interface Host {
  readonly name: string;
  readonly state: string;
  readonly lastHeardAt?: string;
  readonly vms: number;
  readonly memoryMiB: number;
  readonly freeDiskBytes: number;
  readonly libvirtVersion?: string;
}
export interface Image {
  readonly name: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly capacityBytes: number;
  readonly createdAt: string;
}
export interface Vm {
  readonly vm: string;
  readonly name: string;
  readonly host: string;
  readonly state: string;
  readonly epoch: number;
  readonly spec: {
    readonly vcpus: number;
    readonly memoryMiB: number;
    readonly boot: { readonly kind: string };
    readonly disks: readonly {
      readonly target: string;
      readonly artifact: string;
      readonly capacityBytes: number;
      readonly key: string;
    }[];
    readonly tpm?: { readonly artifact: string; readonly key: string };
    readonly restrictions?: {
      readonly project: string;
      readonly labels: readonly string[];
      readonly level: number;
      readonly jurisdictions?: readonly string[];
      readonly onward: boolean;
      readonly legalHold: boolean;
      readonly owner?: string;
      readonly accreditations?: readonly string[];
    };
  };
}

const column = <R>(name: string, cell: Column<R>['cell'], tone?: Column<R>['tone']): Column<R> => ({
  name,
  cell,
  ...(tone === undefined ? {} : { tone }),
});

const OUTCOME_TONES: Readonly<Record<Migration['outcome'], Tone>> = {
  open: 'busy',
  done: 'good',
  'rolled-back': 'bad',
  refused: 'bad',
  withdrawn: 'bad',
};

export const migrationColumns: readonly Column<Migration>[] = [
  column('migration', (m) => m.migration),
  column('vm', (m) => m.vm),
  column('source', (m) => m.source),
  column('target', (m) => m.target),
  column('mode', (m) => m.mode),
  column('epoch', (m) => m.epoch),
  column('phase', (m) => m.phase),
  column(
    'outcome',
    (m) => m.outcome,
    (m) => OUTCOME_TONES[m.outcome],
  ),
  column('started', (m) => m.startedAt),
];
export const detailColumns: readonly Column<MigrationDetail>[] = [
  ...migrationColumns,
  column('updated', (m) => m.updatedAt),
  column('source phase', (m) => m.sourcePhase),
  column('target phase', (m) => m.targetPhase),
  column('owed here', (m) => m.owed.map((one) => one.command).join(', ') || 'nothing'),
  column('key opens at', (m) => m.custody.map((one) => `${one.at} ${one.domains.join(' and ') || 'nobody'}`)),
  ...custodyColumns,
  column('reasons', (m) => m.reasons.map((reason) => `${reason.code}: ${reason.text}`)),
  column('last failure', (m) =>
    m.lastFailure === undefined
      ? undefined
      : `${m.lastFailure.at} ${m.lastFailure.command} ${m.lastFailure.code}: ${m.lastFailure.text}`,
  ),
];
export const entryColumns: readonly Column<Entry>[] = [
  column('time', (e) => e.time),
  column('publisher', (e) => e.publisher),
  column('seq', (e) => e.seq),
  column(
    'type',
    (e) => (e.voidCode === undefined ? e.type : `${e.type} (void: ${e.voidCode})`),
    (e) => (e.voidCode === undefined ? undefined : 'bad'),
  ),
  column('state', (e) => e.state),
  column('migration', (e) => e.migration),
  column('digest', (e) => e.digest),
];
export const keyColumns: readonly Column<Key>[] = [
  column('key', (k) => k.key),
  column('version', (k) => k.version),
  column('project', (k) => k.project),
  column('kind', (k) => k.kind),
  column('state', (k) => k.state),
  column('origin', (k) => k.origin),
  column('arrived', (k) => arrivalText(k.arrival)),
  column('artifact', (k) => k.artifact),
  column('consumers', (k) => k.consumers.join(' ')),
];
export const arrivalText = (arrival: number): string => (arrival === 0 ? 'made here' : `epoch ${arrival}`);
export const peerColumns: readonly Column<Peer>[] = [
  column('domain', (p) => p.domain),
  column(
    'state',
    (p) => p.state,
    (p) => (p.state === 'ready' ? 'good' : 'bad'),
  ),
  column('origin', (p) => p.origin),
  column('own', (p) => p.ownSeq),
  column('acknowledged', (p) => p.acknowledgedSeq),
  column('received', (p) => p.receivedSeq),
  column('heard', (p) => p.lastHeardAt),
  column('authority', (p) => p.issuer),
  column('fingerprint', (p) => p.fingerprint),
  column(
    'certificate',
    (p) => p.certificate,
    (p) => (p.certificate === 'good' ? 'good' : 'bad'),
  ),
];
export const hostColumns: readonly Column<Host>[] = [
  column('name', (h) => h.name),
  column(
    'state',
    (h) => h.state,
    (h) => (h.state === 'up' ? 'good' : 'bad'),
  ),
  column('vms', (h) => h.vms),
  column('memory', (h) => `${h.memoryMiB} MiB free`),
  column('disk', (h) => `${humanBytes(h.freeDiskBytes)} free`),
  column('libvirt', (h) => h.libvirtVersion),
  column('heard', (h) => h.lastHeardAt),
];
export const imageColumns: readonly Column<Image>[] = [
  column('name', (i) => i.name),
  column('capacity', (i) => humanBytes(i.capacityBytes)),
  column('size', (i) => humanBytes(i.sizeBytes)),
  column('root', (i) => i.digest),
  column('created', (i) => i.createdAt),
];
function restrictionsText(kept: Vm['spec']['restrictions']): string | undefined {
  if (kept === undefined) return undefined;
  const { project, labels, level, jurisdictions, onward, legalHold, owner, accreditations } = kept;
  return [
    `project ${project}`,
    ...(labels.length === 0 ? [] : [`labels ${labels.join(' ')}`]),
    ...(level === 0 ? [] : [`level ${level}`]),
    ...(jurisdictions === undefined ? [] : [`only ${jurisdictions.join(' ') || 'nowhere'}`]),
    ...(onward ? [] : ['not onward']),
    ...(legalHold ? ['ON HOLD'] : []),
    ...(accreditations === undefined ? [] : [`accredited ${accreditations.join(' ')}`]),
    ...(owner === undefined ? [] : [`owner ${owner}`]),
  ].join(', ');
}

export const vmColumns: readonly Column<Vm>[] = [
  column('vm', (v) => v.vm),
  column('name', (v) => v.name),
  column('host', (v) => v.host),
  column('state', (v) => v.state),
  column('epoch', (v) => v.epoch),
  column('vcpus', (v) => v.spec.vcpus),
  column('memory', (v) => `${v.spec.memoryMiB} MiB`),
  column('restrictions', (v) => restrictionsText(v.spec.restrictions)),
];
export const vmDetailColumns: readonly Column<Vm>[] = [
  ...vmColumns,
  column('boot', (v) => (v.spec.boot.kind === 'kernel' ? "a kernel of the host's catalogue" : v.spec.boot.kind)),
  column('disks', (v) =>
    v.spec.disks.map((d) => `${d.target}  ${humanBytes(d.capacityBytes)}  artifact ${d.artifact}  key ${d.key}`),
  ),
  column('vtpm', (v) => (v.spec.tpm === undefined ? 'none' : `artifact ${v.spec.tpm.artifact}  key ${v.spec.tpm.key}`)),
];
