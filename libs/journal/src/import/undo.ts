import { type Refusal, refuse } from '@carnet/trust';
import { IMPORT_CODES, type ImportCode } from './codes.ts';

/** What reading the file refuses, by the names that the auditor has for it. */
export type ExportCode = 'EXPORT_MALFORMED' | 'EXPORT_TRUNCATED';

/** A refusal on its way out of a transaction: what was placed until then is undone. */
export class Undo extends Error {
  override readonly name = 'Undo';
  readonly refusal: Refusal<ImportCode | ExportCode>;

  constructor(of: ImportCode | Refusal<ExportCode>, got = '') {
    super(typeof of === 'string' ? of : of.code);
    this.refusal = typeof of === 'string' ? refuse(of, IMPORT_CODES[of].text, { got }) : of;
  }
}
