import type { Answer, BrokerClient } from '@carnet/publisher';
import type { Command } from 'commander';
import { clientOf, type Context, loadContext } from './context.ts';
import { EXIT, VerbError } from './exit.ts';
import { chooseColumns, type Column, FORMATS, type Format, render, renderOne } from './output.ts';

/** What verbs see of the process: so that tests run them in-process. */
export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Progress is drawn only where a person looks. */
  readonly isTerminal: boolean;
  readonly environment: NodeJS.ProcessEnv;
  readonly nowMs: () => number;
  readonly interrupt: AbortSignal;
}

interface GlobalOptions {
  readonly context?: string;
  readonly format: Format;
  readonly columns?: string;
}

export interface World {
  readonly streams: Streams;
  readonly context: () => Context;
  readonly broker: () => BrokerClient;
  readonly format: Format;
  readonly list: <R>(rows: readonly R[], columns: readonly Column<R>[]) => void;
  readonly show: <R>(row: R, columns: readonly Column<R>[]) => void;
}

export function worldOf(command: Command, streams: Streams): World {
  const options = command.optsWithGlobals<GlobalOptions>();
  if (!FORMATS.includes(options.format)) throw new VerbError(EXIT.usage, 'FORMAT_UNKNOWN', `unknown format ${options.format}: ${FORMATS.join(', ')}`);
  let client: BrokerClient | undefined;
  let loaded: Context | undefined;
  const context = (): Context => {
    loaded ??= loadContext(options.context, streams.environment);
    return loaded;
  };
  const columnsOf = <R>(all: readonly Column<R>[]): readonly Column<R>[] => {
    const chosen = chooseColumns(all, options.columns?.split(','));
    if ('unknown' in chosen) throw new VerbError(EXIT.usage, 'COLUMN_UNKNOWN', `unknown column ${chosen.unknown}: ${all.map((column) => column.name).join(', ')}`);
    return chosen;
  };
  return {
    streams,
    context,
    broker: () => {
      client ??= clientOf(context());
      return client;
    },
    format: options.format,
    list: (rows, columns) => streams.out(render(rows, columnsOf(columns), options.format)),
    show: (row, columns) => streams.out(renderOne(row, columnsOf(columns), options.format)),
  };
}

const UNREACHABLE_ADVICE = 'Is the broker running, and does the context name its address? Repeating is safe.';
const REFUSED_CODES_OF_USE = new Set(['PARAMETER_INVALID', 'REQUEST_MALFORMED']);

/** The value of an answer; a refusal ends the verb with its own code. */
export function valueOf<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value;
  const text = [answer.text, ...(answer.reasons ?? []).map((reason) => `  ${reason.code}: ${reason.text}`)].join('\n');
  if (answer.code === 'UNREACHABLE') throw new VerbError(EXIT.unreachable, answer.code, text, UNREACHABLE_ADVICE);
  if (answer.code === 'INTERNAL') throw new VerbError(EXIT.failed, answer.code, text, "See the broker's log.");
  throw new VerbError(REFUSED_CODES_OF_USE.has(answer.code) ? EXIT.usage : EXIT.refused, answer.code, text, `carnet error ${answer.code} says more.`);
}
