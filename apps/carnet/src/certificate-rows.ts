import type { Column } from './output.ts';

export interface CertificateRow {
  readonly kind: string;
  readonly name: string;
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly daysLeft: number;
  readonly standing: string;
}

export const certificateColumns: readonly Column<CertificateRow>[] = [
  { name: 'kind', cell: (row) => row.kind },
  { name: 'name', cell: (row) => row.name },
  { name: 'serial', cell: (row) => row.serial },
  { name: 'not after', cell: (row) => row.notAfter },
  { name: 'days left', cell: (row) => row.daysLeft, tone: (row) => (row.daysLeft < 1 ? 'bad' : undefined) },
  { name: 'standing', cell: (row) => row.standing, tone: (row) => (row.standing === 'good' ? undefined : 'bad') },
];
