import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CSP_A, timeAt } from './federation.ts';
import type { Ledger, Telling } from './telling.ts';

export const EXPORTED_MS = Date.parse('2026-11-24T10:00:00.000Z');

/** Lines of an export by one CSP, own ledger first, as a broker writes it. */
export function exportLines(telling: Pick<Telling, 'a' | 'b'>, self = CSP_A, exportedMs = EXPORTED_MS): string[] {
  const ledgers = self === CSP_A ? [telling.a, telling.b] : [telling.b, telling.a];
  return [
    JSON.stringify({ carnet: 'ledger-export', v: 1, self, exportedAt: timeAt(exportedMs) }),
    ...ledgers.flatMap(linesOf),
    JSON.stringify({ carnet: 'end-of-export' }),
  ];
}

const linesOf = ({ publisher, audience, envelopes }: Ledger): string[] =>
  envelopes.map((bytes) => JSON.stringify({ publisher, audience, envelope: Buffer.from(bytes).toString('base64') }));

export function writeLines(dir: string, name: string, lines: readonly string[]): string {
  const path = join(dir, name);
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}
