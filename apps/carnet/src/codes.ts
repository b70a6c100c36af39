import { HOST_CODES } from '@carnet/hypervisor';
import { CODES as IMAGE_CODES } from '@carnet/images';
import { IMPORT_CODES, JOURNAL_CODES } from '@carnet/journal';
import { CODES as KEY_CODES } from '@carnet/keys';
import { PKI_CODES } from '@carnet/pki';
import { BREAK_GLASS_CODES, POLICY_CODES } from '@carnet/policy';
import { AUDIT_CODES, CONTEXT_CODES, DOOR_CODES, FINDING_CODES, PEERING_CODES } from '@carnet/publisher';
import { CODES as SAGA_CODES } from '@carnet/saga';
import { PROOF_CODES, TRUST_CODES } from '@carnet/trust';
import { OWN_CODES } from './own-codes.ts';

type Table = Readonly<Record<string, { readonly text: string; readonly advice: string }>>;

/** Every code that a person may meet, and which part says it. Made from the tables beside the code that uses them. */
const TABLES: readonly (readonly [string, Table])[] = [
  ['carnet', OWN_CODES],
  ['context', CONTEXT_CODES],
  ['broker', DOOR_CODES],
  ['peering', PEERING_CODES],
  ['migration', SAGA_CODES],
  ['policy', POLICY_CODES],
  ['break-glass', BREAK_GLASS_CODES],
  ['ledger', TRUST_CODES],
  ['proof', PROOF_CODES],
  ['journal', JOURNAL_CODES],
  ['import', IMPORT_CODES],
  ['certificate', PKI_CODES],
  ['key', KEY_CODES],
  ['image', IMAGE_CODES],
  ['host', HOST_CODES],
  ['auditor', AUDIT_CODES],
  ['diagnosis', FINDING_CODES],
];

export const catalogue = TABLES.flatMap(([from, table]) =>
  Object.entries(table).map(([code, { text, advice }]) => ({ code, from, text, advice })),
);
