import type { Answer, BrokerClient, Context, Refused } from '@carnet/publisher';
import type { Command } from 'commander';
import { EXIT, VerbError } from './exit.ts';
import { type Column, chooseColumns, type Format, render, renderOne } from './output.ts';
import { type Paint, paintFor } from './paint.ts';

/** What verbs see of the process: so that tests run them in-process. */
export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Tables and colours only where a person looks. */
  readonly outIsTerminal: boolean;
  /** Progress only where a person looks. */
  readonly errIsTerminal: boolean;
  readonly environment: NodeJS.ProcessEnv;
  readonly nowMs: () => number;
  readonly random: (n: number) => Uint8Array;
  readonly interrupt: AbortSignal;
  /** All of stdin, or one line where a person types it: what must be no argument. */
  readonly input: (prompt: string) => Promise<string>;
  /** The auditor's program. */
  readonly auditor: () => string;
}

export interface GlobalOptions {
  /** All that were named. */
  readonly context?: readonly string[];
  readonly format?: Format;
  readonly columns?: string;
}

export interface World {
  readonly streams: Streams;
  readonly format: Format;
  /** For what is written on stdout. */
  readonly paint: Paint;
  /** Of these, what was asked for with `-c`, in that order. */
  readonly columnsOf: <R>(all: readonly Column<R>[]) => readonly Column<R>[];
  readonly context: () => Promise<Context>;
  readonly broker: () => Promise<BrokerClient>;
  readonly list: <R>(rows: readonly R[], columns: readonly Column<R>[]) => Promise<void>;
  readonly show: <R>(row: R, columns: readonly Column<R>[]) => Promise<void>;
  /** As a table of field and value, whatever `-c` chooses: what stands above a list. */
  readonly say: <R>(row: R, columns: readonly Column<R>[]) => Promise<void>;
}

/** Tables for people, JSON for programs, unless it is said. */
const formatOf = ({ format }: GlobalOptions, { outIsTerminal }: Streams): Format => format ?? (outIsTerminal ? 'table' : 'json');

export function worldOf(command: Command, streams: Streams): World {
  const options = command.optsWithGlobals<GlobalOptions>();
  const format = formatOf(options, streams);
  const paint = paintFor(streams.outIsTerminal, streams.environment);
  const columnsOf = <R>(all: readonly Column<R>[]): readonly Column<R>[] => {
    const chosen = chooseColumns(all, options.columns?.split(','));
    if (!('unknown' in chosen)) return chosen;
    throw new VerbError(EXIT.usage, 'COLUMN_UNKNOWN', `no column ${chosen.unknown}: ${all.map(({ name }) => name).join(', ')}`);
  };
  // Contexts and the client load only for verbs that need them: `--help` and completion should not wait.
  const context = onceOnly(() => contextOf(options.context?.at(-1), streams));
  const broker = onceOnly(async () => {
    const { connectBroker } = await import('@carnet/publisher');
    const { address } = await context();
    return connectBroker(address, {
      signal: streams.interrupt,
      onRetry: (text) => streams.err(`carnet: no answer yet (${text}); trying again\n`),
    });
  });
  return {
    streams,
    format,
    paint,
    columnsOf,
    context,
    broker,
    list: async (rows, columns) => streams.out(await render(rows, columnsOf(columns), format, paint)),
    say: async (row, columns) => streams.out(await renderOne(row, columns, 'table', paint)),
    show: async (row, columns) => streams.out(await renderOne(row, columnsOf(columns), format, paint)),
  };
}

async function contextOf(wanted: string | undefined, { environment }: Streams): Promise<Context> {
  const { CONTEXT_CODES, ContextError, loadContext } = await import('@carnet/publisher');
  try {
    return loadContext(wanted, environment);
  } catch (cause) {
    if (!(cause instanceof ContextError)) throw cause;
    throw new VerbError(EXIT.usage, cause.code, cause.message, CONTEXT_CODES[cause.code].advice);
  }
}

function onceOnly<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const CODES_OF_USE = new Set(['PARAMETER_INVALID', 'REQUEST_MALFORMED', 'REQUEST_TOO_LARGE']);

/** The value of an answer; a refusal ends the verb with its own code. */
export function answered<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value;
  throw verbErrorOf(answer);
}

export function verbErrorOf({ code, text, reasons = [] }: Refused): VerbError {
  const said = [text, ...reasons.map((reason) => `  ${reason.code}: ${reason.text}`)].join('\n');
  switch (code) {
    case 'UNREACHABLE':
    case 'ANSWER_MALFORMED':
      return new VerbError(
        EXIT.unreachable,
        code,
        said,
        'Is the broker running, and does the context name its address? `carnet context show` says which.',
      );
    case 'DATABASE_UNAVAILABLE':
    case 'HOSTS_NOT_HEARD_YET':
    case 'BROKER_DRAINING':
      return new VerbError(EXIT.unreachable, code, said, 'It passes by itself: ask again in some seconds.');
    case 'INTERNAL':
      return new VerbError(EXIT.failed, code, said, "See the broker's log.");
    case 'INTERRUPTED':
      return new VerbError(EXIT.failed, code, said);
    default:
      return new VerbError(CODES_OF_USE.has(code) ? EXIT.usage : EXIT.refused, code, said, `carnet error ${code} says more.`);
  }
}
