import { readFileSync } from 'node:fs';
import { type Digest, digest } from '@carnet/events';
import { z } from 'zod';
import { writeDurably } from './durable.ts';
import { PkiError } from './error.ts';
import { CRL_ISSUERS_MAX } from './limits.ts';

/** `issuer`: SHA-256 of its public key, which a renewed certificate keeps. `list`: SHA-256 of the CRL's DER. */
export type SeenCrl = { readonly issuer: Digest; readonly number: bigint; readonly list: Digest };

/** What a list's number says beside the highest that was ever seen of its issuer. */
export type MarkVerdict = 'kept' | 'number went back' | 'number used twice' | 'cannot be written';

/**
 * The highest CRL number that was ever believed of each issuer. Threat: whoever can put an older list in place of a newer one (a
 * backup, a mirror, somebody on the host) gives a revoked certificate its life back.
 */
export type CrlMarks = {
  /** Only for lists whose signature was verified: a forged number would otherwise shut the true issuer out. */
  readonly keep: (seen: SeenCrl) => MarkVerdict;
};

type Mark = Omit<SeenCrl, 'issuer'>;

/** Marks that last as long as this process. */
export function memoryCrlMarks(): CrlMarks {
  return marksOver(new Map(), () => undefined);
}

/**
 * Marks that outlast it: the file is durable before a higher number is believed. One writer for each file.
 * @throws PkiError MARKS_BROKEN: a file that cannot be read is no reason to begin anew
 */
export function fileCrlMarks(file: string): CrlMarks {
  return marksOver(readMarks(file), (marks) => writeMarks(file, marks));
}

function marksOver(known: ReadonlyMap<Digest, Mark>, write: (marks: ReadonlyMap<Digest, Mark>) => void): CrlMarks {
  let marks = known;
  return {
    keep: ({ issuer, number, list }) => {
      const mark = marks.get(issuer);
      if (mark !== undefined && number < mark.number) return 'number went back';
      if (mark !== undefined && number === mark.number) return mark.list === list ? 'kept' : 'number used twice';
      if (mark === undefined && marks.size >= CRL_ISSUERS_MAX) return 'cannot be written';
      const next = new Map([...marks, [issuer, { number, list }]]);
      try {
        write(next);
      } catch {
        // A number that a restart would forget protects nobody: the list does not count until the disk is well.
        return 'cannot be written';
      }
      marks = next;
      return 'kept';
    },
  };
}

const marksFile = z.strictObject({
  v: z.literal(1),
  marks: z
    .array(z.strictObject({ issuer: digest, number: z.string().regex(/^(-1|0|[1-9]\d*)$/), list: digest }))
    .max(CRL_ISSUERS_MAX),
});

function readMarks(file: string): ReadonlyMap<Digest, Mark> {
  try {
    const { marks } = marksFile.parse(JSON.parse(readFileSync(file, 'utf8')));
    return new Map(marks.map(({ issuer, number, list }) => [issuer, { number: BigInt(number), list }]));
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return new Map();
    throw new PkiError('MARKS_BROKEN', `${file} does not say which CRL numbers were seen`, { cause });
  }
}

function writeMarks(file: string, marks: ReadonlyMap<Digest, Mark>): void {
  const said = [...marks].map(([issuer, { number, list }]) => ({ issuer, number: String(number), list }));
  writeDurably(file, `${JSON.stringify({ v: 1, marks: said })}\n`);
}
