import type { Column } from './output.ts';

interface Receipt {
  readonly by: string;
  readonly at: string;
  readonly method: string;
  readonly keys: readonly { readonly key: string; readonly version?: number; readonly fate?: string }[];
  readonly artifacts: readonly { readonly artifact: string; readonly fate?: string; readonly headerDigest?: string }[];
  readonly cannotProve: string;
  readonly unproven: readonly string[];
  readonly hasEvidence: boolean;
}
/** What became of the keys and volumes that the source had. */
export interface Custody {
  readonly rekey: {
    readonly demanded: string;
    readonly agreed: string;
    readonly done?: string;
    readonly volumes: readonly {
      readonly artifact: string;
      readonly from: { readonly key: string; readonly headerDigest: string };
      readonly to: { readonly key: string; readonly headerDigest: string };
    }[];
  };
  readonly receipts: readonly Receipt[];
}

/** What was destroyed, one by one, and what nobody can prove: whoever reads a receipt reads both. */
function receiptText({ by, at, method, keys, artifacts, unproven, cannotProve, hasEvidence }: Receipt): string {
  const gone = [
    ...keys.map(({ key, fate }) => `key ${key}${fate === undefined ? '' : ` ${fate}`}`),
    ...artifacts.map(({ artifact, fate }) => `artifact ${artifact}${fate === undefined ? '' : ` ${fate}`}`),
  ];
  const word = hasEvidence ? 'with the word of its agent' : 'without the word of an agent';
  const open = unproven.length === 0 ? cannotProve : unproven.join(', ');
  return `${at} ${by}, ${method}, ${word}: ${gone.join(', ') || 'nothing was held'}; cannot prove: ${open}`;
}

export const custodyColumns: readonly Column<Custody>[] = [
  { name: 'rekey', cell: (m) => `${m.rekey.done ?? 'not done yet'} (demanded ${m.rekey.demanded}, agreed ${m.rekey.agreed})` },
  {
    name: 'rekeyed',
    cell: (m) =>
      m.rekey.volumes.map(
        ({ artifact, from, to }) =>
          `${artifact}: key ${from.key} -> ${to.key}, header ${from.headerDigest} -> ${to.headerDigest}`,
      ),
  },
  { name: 'receipts', cell: (m) => m.receipts.map(receiptText) },
];
