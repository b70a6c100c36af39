import {
  checkpointLine,
  EXPORT_NOTES_MAX,
  type ExportHeader,
  type ExportLine,
  exportEnd,
  exportHeader,
  exportLine,
  type TrustDomain,
} from '@carnet/events';
import type { ExportedLine } from '@carnet/keys';
import type { ShownNote } from '../core/checkpoints.ts';
import type { Copy } from '../core/copies.ts';
import type { HistoryCopy } from '../core/key-history.ts';
import { AuditError, EXIT } from '../exit.ts';
import { keyHistoryLine, parseJson } from './export-format.ts';
import { type FileLine, fileLines } from './lines.ts';

/** Where the lines of one ledger lie in an export file. */
type Stretch = { readonly publisher: TrustDomain; readonly audience: TrustDomain; readonly start: number; readonly end: number };

/** A whole export, looked through once: its form is sound, and it has its end. */
export type ExportFile = {
  readonly path: string;
  readonly source: string;
  readonly header: ExportHeader;
  readonly stretches: readonly Stretch[];
  /** C2SP notes, as they stand there. */
  readonly notes: readonly string[];
  /** Where the histories of its keys lie; absent in an export for one peer. */
  readonly history?: { readonly start: number; readonly end: number };
};

const malformed = (source: string, line: number, what: string): AuditError =>
  new AuditError('EXPORT_MALFORMED', EXIT.verificationFailed, `${source}, line ${line}: ${what}`);

/**
 * Reads the form of an export, and nothing of what it says. Ledgers lie in it one after the other.
 *
 * @throws AuditError EXPORT_MALFORMED, EXPORT_TRUNCATED, FILE_UNREADABLE
 */
export async function indexExport(path: string, source = path): Promise<ExportFile> {
  let header: ExportHeader | undefined;
  let isEnded = false;
  let number = 0;
  const stretches: Stretch[] = [];
  const notes: string[] = [];
  let history: ExportFile['history'];
  for await (const line of fileLines(path)) {
    number++;
    if (isEnded) throw malformed(source, number, 'something follows the end line');
    const json = parseJson(line.text);
    if (header === undefined) {
      header = exportHeader.safeParse(json).data;
      if (header === undefined) throw malformed(source, number, 'expected the header of a ledger export');
    } else if (exportEnd.safeParse(json).success) isEnded = true;
    else if (keyHistoryLine.safeParse(json).success) history = { start: history?.start ?? line.start, end: line.end };
    else {
      if (history !== undefined) throw malformed(source, number, 'expected the history of a key, or the end line');
      const note = checkpointLine.safeParse(json).data?.checkpoint;
      if (note !== undefined && notes.length < EXPORT_NOTES_MAX) {
        notes.push(note);
        continue;
      }
      const said = exportLine.safeParse(json).data;
      if (said === undefined) throw cutOr(source, number, line);
      extend(
        stretches,
        said,
        line,
        () => malformed(source, number, `a ledger of ${said.publisher} lies in two pieces, or is not ${header?.self}'s`),
        header.self,
      );
    }
  }
  if (header === undefined || !isEnded)
    throw new AuditError('EXPORT_TRUNCATED', EXIT.verificationFailed, `${source}: no end line after ${number} lines`);
  return { path, source, header, stretches, notes, ...(history === undefined ? {} : { history }) };
}

/** A last line without its newline was cut, not mangled. */
const cutOr = (source: string, number: number, { text, start, end }: FileLine): AuditError =>
  end - start === Buffer.byteLength(text)
    ? new AuditError('EXPORT_TRUNCATED', EXIT.verificationFailed, `${source}: cut inside line ${number}`)
    : malformed(source, number, 'expected publisher, audience and envelope, or the end line');

function extend(
  stretches: Stretch[],
  { publisher, audience }: ExportLine,
  { start, end }: FileLine,
  broken: () => AuditError,
  self: TrustDomain,
): void {
  const last = stretches.at(-1);
  if (last?.publisher === publisher && last.audience === audience) {
    stretches[stretches.length - 1] = { ...last, end };
    return;
  }
  const isForeign = publisher === audience || (publisher !== self && audience !== self);
  if (isForeign || stretches.some((one) => one.publisher === publisher && one.audience === audience)) throw broken();
  stretches.push({ publisher, audience, start, end });
}

/** The export's copy of a ledger; an empty one if it holds none. */
export function copyOf({ path, source, header, stretches }: ExportFile, publisher: TrustDomain, audience: TrustDomain): Copy {
  const stretch = stretches.find((one) => one.publisher === publisher && one.audience === audience);
  return {
    source,
    holder: header.self,
    exportedAt: header.exportedAt,
    open: () => envelopes(path, stretch ?? { start: 0, end: 0 }),
  };
}

/** Nothing, for an export that shows no history: one for a single peer, or of a CSP without keys. */
export const historiesOf = (exports: readonly ExportFile[]): readonly HistoryCopy[] =>
  exports.flatMap(({ path, source, header, history }) =>
    history === undefined ? [] : [{ source, holder: header.self, lines: () => linesOfHistory(path, history) }],
  );

/** Every checkpoint that the exports show. */
export const notesOf = (exports: readonly ExportFile[]): readonly ShownNote[] =>
  exports.flatMap(({ source, notes }) => notes.map((note) => ({ source, note: Buffer.from(note) })));

async function* linesOfHistory(path: string, range: NonNullable<ExportFile['history']>): AsyncGenerator<ExportedLine> {
  for await (const { text } of fileLines(path, range)) {
    const line = keyHistoryLine.safeParse(parseJson(text)).data;
    if (line === undefined) throw new AuditError('FILE_UNREADABLE', EXIT.failed, `${path} changed while it was read`);
    yield line.keyHistory;
  }
}

async function* envelopes(path: string, range: { readonly start: number; readonly end: number }): AsyncGenerator<Uint8Array> {
  for await (const { text } of fileLines(path, range)) {
    const envelope = envelopeOf(text);
    if (envelope === undefined) throw new AuditError('FILE_UNREADABLE', EXIT.failed, `${path} changed while it was read`);
    yield Buffer.from(envelope, 'base64');
  }
}

/** The line's form was judged when the export was looked through. */
function envelopeOf(text: string): string | undefined {
  const json = parseJson(text);
  return typeof json === 'object' && json !== null && 'envelope' in json && typeof json.envelope === 'string'
    ? json.envelope
    : undefined;
}
