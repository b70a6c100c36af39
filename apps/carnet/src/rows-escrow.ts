import type { Column } from './output.ts';

export interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

export interface Custodian {
  readonly custodian: string;
  readonly sealingKey: string;
  readonly enrolledAt: string;
}
export const custodianColumns: readonly Column<Custodian>[] = [
  { name: 'custodian', cell: (row) => row.custodian },
  { name: 'sealing key', cell: (row) => row.sealingKey },
  { name: 'enrolled', cell: (row) => row.enrolledAt },
];

export interface Escrow {
  readonly escrow: string;
  readonly state: string;
  readonly key: string;
  readonly vm: string;
  readonly threshold: number;
  readonly custodians: readonly string[];
  readonly digest: string;
  readonly createdAt: string;
  readonly by: string;
  readonly reason: string;
}
export const escrowColumns: readonly Column<Escrow>[] = [
  { name: 'escrow', cell: (row) => row.escrow },
  { name: 'state', cell: (row) => row.state },
  { name: 'key', cell: (row) => row.key },
  { name: 'vm', cell: (row) => row.vm },
  { name: 'shares', cell: (row) => `${row.threshold} of ${row.custodians.length}` },
  { name: 'custodians', cell: (row) => row.custodians.join(', ') },
  { name: 'dealt', cell: (row) => row.createdAt },
  { name: 'digest', cell: (row) => row.digest },
];

export interface Drill {
  readonly drill: string;
  readonly escrow: string;
  readonly state: string;
  readonly reason: string;
  readonly by: string;
  readonly at: string;
  readonly notAfter: string;
  readonly proven: readonly string[];
  readonly failed?: readonly string[];
  readonly concludedAt?: string;
  readonly envelope: Envelope;
}
export const drillColumns: readonly Column<Drill>[] = [
  { name: 'drill', cell: (row) => row.drill },
  { name: 'escrow', cell: (row) => row.escrow },
  { name: 'state', cell: (row) => row.state },
  { name: 'until', cell: (row) => row.notAfter },
  { name: 'proven', cell: (row) => row.proven.join(', ') },
  { name: 'failed', cell: (row) => row.failed?.join(', ') },
  { name: 'concluded', cell: (row) => row.concludedAt },
];

export interface Recovery {
  readonly recovery: string;
  readonly escrow: string;
  readonly state: string;
  readonly asker: string;
  readonly reason: string;
  readonly at: string;
  readonly notAfter: string;
  readonly digest: string;
  readonly envelope: Envelope;
  readonly approvals: readonly {
    readonly custodian: string;
    readonly reason: string;
    readonly at: string;
    readonly digest: string;
  }[];
  readonly outcome?: string;
}
export const recoveryColumns: readonly Column<Recovery>[] = [
  { name: 'recovery', cell: (row) => row.recovery },
  { name: 'escrow', cell: (row) => row.escrow },
  { name: 'state', cell: (row) => row.state },
  { name: 'asked by', cell: (row) => row.asker },
  { name: 'reason', cell: (row) => row.reason },
  { name: 'until', cell: (row) => row.notAfter },
  { name: 'request', cell: (row) => row.digest },
  { name: 'approved by', cell: (row) => row.approvals.map(({ custodian, reason }) => `${custodian} (${reason})`).join(', ') },
  { name: 'outcome', cell: (row) => row.outcome },
];

export interface EscrowDetail extends Escrow {
  readonly manifest: Envelope;
  readonly shares: readonly { readonly enc: string; readonly ct: string }[];
  readonly drills: readonly Drill[];
  readonly recoveries: readonly Recovery[];
}
export const escrowDetailColumns: readonly Column<EscrowDetail>[] = [
  ...escrowColumns,
  { name: 'dealt by', cell: (row) => row.by },
  { name: 'reason', cell: (row) => row.reason },
  {
    name: 'drills',
    cell: (row) =>
      row.drills
        .map((one) => `${one.drill} ${one.state}, proven ${one.proven.length}, failed ${one.failed?.join(', ') ?? '–'}`)
        .join('; '),
  },
  {
    name: 'recoveries',
    cell: (row) => row.recoveries.map((one) => `${one.recovery} ${one.state}, approved ${one.approvals.length}`).join('; '),
  },
];
