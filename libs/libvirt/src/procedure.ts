import { LIST_ENTRIES_MAX } from './limits.ts';
import { Program } from './message.ts';
import type { XdrReader } from './xdr-reader.ts';
import type { XdrWriter } from './xdr-writer.ts';

/** `quick`: answered from memory or disk at once. `long`: moves memory, disks or whole guests. */
export type Pace = 'quick' | 'long';

/** One remote procedure: its number, how its arguments are written, how its reply is read. */
export type Procedure<Args extends readonly unknown[], Result> = {
  /** For messages. */
  readonly name: string;
  readonly program: number;
  readonly number: number;
  readonly pace: Pace;
  readonly write: (writer: XdrWriter, ...args: Args) => unknown;
  readonly read: (reader: XdrReader) => Result;
};

type Write<Args extends readonly unknown[]> = (writer: XdrWriter, ...args: Args) => unknown;

/** A procedure of the main program. Numbers are append-only in libvirt: one is never reused. */
export function quick<Args extends readonly unknown[], Result>(
  number: number,
  name: string,
  write: Write<Args>,
  read: (reader: XdrReader) => Result,
): Procedure<Args, Result> {
  return { name, program: Program.REMOTE, number, pace: 'quick', write, read };
}

/** The same, for one that may take as long as its data is large. */
export function long<Args extends readonly unknown[], Result>(
  number: number,
  name: string,
  write: Write<Args>,
  read: (reader: XdrReader) => Result,
): Procedure<Args, Result> {
  return { name, program: Program.REMOTE, number, pace: 'long', write, read };
}

/** Arguments of a procedure that has none. */
export const nothing = (): undefined => undefined;

/** Reply of a procedure that only succeeds or fails. */
export const done = (): void => undefined;

/** Reply of every list: the entries, and their number once more, which the entries have told already. */
export function listOf<T>(read: (reader: XdrReader) => T): (reader: XdrReader) => readonly T[] {
  return (reader) => {
    const entries = reader.list(LIST_ENTRIES_MAX, read);
    reader.uint();
    return entries;
  };
}
