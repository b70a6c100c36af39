import { createReadStream } from 'node:fs';
import {
  checkpointLine,
  EXPORT_LINE_BYTES_MAX,
  EXPORT_NOTES_MAX,
  exportEnd,
  exportHeader,
  exportLine,
  type TrustDomain,
} from '@carnet/events';
import type { ExportCode, ExportPart } from '@carnet/journal';
import { accept, type Checked, type Refusal, refuse } from '@carnet/trust';
import { z } from 'zod';

type Read = Checked<ExportPart, ExportCode>;

const NEWLINE = 0x0a;
/** Histories of keys bring back no key: they are the auditor's. */
const keyHistory = z.strictObject({ keyHistory: z.looseObject({}) });

/**
 * What an export file says, one line at a time, in the order of `GET /v1/export`: header, ledgers, checkpoints, histories of keys, end.
 * Nothing of it is believed. The last answer is a refusal if the file is no export, or was cut.
 */
export async function* readExport(path: string): AsyncGenerator<Read> {
  let number = 0;
  let notes = 0;
  let self: TrustDomain | undefined;
  let isEnded = false;
  for await (const text of linesOf(path)) {
    number += 1;
    if (text === undefined) return yield malformed(number, `a line exceeds ${EXPORT_LINE_BYTES_MAX} bytes`);
    const said = parsed(text);
    if (isEnded) return yield malformed(number, 'something follows the end line');
    if (self === undefined) {
      self = exportHeader.safeParse(said).data?.self;
      if (self === undefined) return yield malformed(number, 'expected the header of a ledger export');
      yield accept({ kind: 'header', self });
      continue;
    }
    isEnded = exportEnd.safeParse(said).success;
    if (isEnded || keyHistory.safeParse(said).success) continue;
    const part = partOf(said);
    if (part?.kind === 'checkpoint') notes += 1;
    if (part === undefined || notes > EXPORT_NOTES_MAX)
      return yield malformed(number, 'expected an event, a checkpoint, the history of a key, or the end line');
    yield accept(part);
  }
  if (!isEnded) yield refuse('EXPORT_TRUNCATED', `no end line after ${number} lines`);
}

function partOf(said: unknown): ExportPart | undefined {
  const line = exportLine.safeParse(said).data;
  if (line !== undefined) return { kind: 'event', ...line, envelope: Buffer.from(line.envelope, 'base64') };
  const note = checkpointLine.safeParse(said).data?.checkpoint;
  return note === undefined ? undefined : { kind: 'checkpoint', note: Buffer.from(note) };
}

const malformed = (line: number, what: string): Refusal<'EXPORT_MALFORMED'> =>
  refuse('EXPORT_MALFORMED', `line ${line}: ${what}`);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // what is no JSON matches no schema
  }
}

/** `undefined`: a line that no export has; nothing follows. What was cut within a line is a line, and no JSON. */
async function* linesOf(path: string): AsyncGenerator<string | undefined> {
  let rest = Buffer.alloc(0);
  for await (const part of createReadStream(path) as AsyncIterable<Buffer>) {
    const block = Buffer.concat([rest, part]);
    let from = 0;
    for (let end = block.indexOf(NEWLINE); end !== -1; end = block.indexOf(NEWLINE, from)) {
      yield block.toString('utf8', from, end);
      from = end + 1;
    }
    rest = block.subarray(from);
    if (rest.length > EXPORT_LINE_BYTES_MAX) return yield undefined;
  }
  if (rest.length > 0) yield rest.toString('utf8');
}
