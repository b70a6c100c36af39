import { type DestructionReceipt, replacedVolumes, type Timestamp } from '@carnet/events';
import { agreedRekey, type MigrationState } from '@carnet/saga';
import type { ReceiptRow, RekeyRow } from './service.ts';

/** What was asked, what was agreed, and what the target says it did to the volumes. */
export function rekeyRow(m: MigrationState): RekeyRow {
  const rekeyed = m.facts.VolumeRekeyed?.data;
  return {
    demanded: m.facts.MigrationIntended?.data.rekey ?? 'none',
    agreed: agreedRekey(m),
    ...(rekeyed === undefined ? {} : { done: rekeyed.method }),
    volumes: replacedVolumes(rekeyed),
  };
}

/** Receipts of whoever destroyed something of this migration. */
export function receiptRows({ source, target, facts }: MigrationState): readonly ReceiptRow[] {
  const { MigrationRelinquished: relinquished, SourceRetired: retired, CopyDiscarded: discarded } = facts;
  return [
    ...(discarded === undefined ? [] : [receiptRow(target, discarded.time, discarded.data.receipt)]),
    ...(relinquished === undefined ? [] : [receiptRow(target, relinquished.time, relinquished.data.receipt)]),
    ...(retired === undefined ? [] : [receiptRow(source, retired.time, retired.data.receipt)]),
  ];
}

/** Receipts of the first brokers name keys and artifacts without saying how each went. */
const receiptRow = (by: string, at: Timestamp, receipt: DestructionReceipt): ReceiptRow => ({
  by,
  at,
  method: receipt.method,
  keys:
    receipt.keyFates?.map(({ key, version, state }) => ({ key, version, fate: state })) ?? receipt.keys.map((key) => ({ key })),
  artifacts:
    receipt.artifactFates?.map(({ artifact, fate, headerDigest }) => ({
      artifact,
      fate,
      ...(headerDigest === undefined ? {} : { headerDigest }),
    })) ?? receipt.artifacts.map((artifact) => ({ artifact })),
  cannotProve: receipt.cannotProve,
  unproven: receipt.unproven ?? [],
  hasEvidence: receipt.evidence !== undefined,
});
