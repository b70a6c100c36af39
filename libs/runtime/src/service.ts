import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { ConfigError, loadConfig } from './config.ts';

/** Exit codes of sysexits.h: usage, configuration, and what a start found missing. */
export const EX_USAGE = 64;
export const EX_CONFIG = 78;
const EX_UNAVAILABLE = 69;

export interface Service<S extends z.ZodType> {
  /** Shown for `--help` and after a wrong argument. */
  readonly usage: string;
  readonly schema: S;
  /** What is well-formed and yet worth a word: lines that `--check-config` adds. */
  readonly warnings?: (config: z.infer<S>) => readonly string[];
  /** Further options of this program, by name; not required. */
  readonly options?: Readonly<Record<string, 'string' | 'boolean'>>;
  /** Starts, and arranges its own end (`drainOnSignals`). What it throws is told in one line, and the process ends. */
  readonly start: (config: z.infer<S>, given: Given) => Promise<void>;
}

/** What was given of a service's own options. */
export type Given = Readonly<Record<string, string | boolean | undefined>>;

/** A start that the configuration makes impossible: trying again would meet the same. Ends with `EX_CONFIG`. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused';
}

/**
 * The command line that every daemon of ours has: `--config FILE [--check-config] [--help]`. Never returns before `start` has.
 * An accident of the start is told without a stack: its reader is an operator. `CARNET_LOG_LEVEL=debug` shows the rest in the log.
 */
export async function runService<S extends z.ZodType>({
  usage,
  schema,
  start,
  warnings,
  options = {},
}: Service<S>): Promise<void> {
  const { file, checkOnly, given } = readArguments(usage, options);
  const config = readConfig(file, schema);
  if (checkOnly) {
    process.stdout.write(`${file}: ok\n`);
    for (const warning of warnings?.(config) ?? []) process.stderr.write(`warning: ${warning}\n`);
    return;
  }
  try {
    await start(config, given);
  } catch (cause) {
    process.stderr.write(`cannot start: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    process.exit(cause instanceof StartRefused ? EX_CONFIG : EX_UNAVAILABLE);
  }
}

function readArguments(
  usage: string,
  own: NonNullable<Service<z.ZodType>['options']>,
): { readonly file: string; readonly checkOnly: boolean; readonly given: Given } {
  try {
    const { values } = parseArgs({
      options: {
        ...Object.fromEntries(Object.entries(own).map(([name, type]) => [name, { type }])),
        config: { type: 'string' },
        'check-config': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(usage);
      process.exit(0);
    }
    if (values.config !== undefined) return { file: values.config, checkOnly: values['check-config'], given: values };
  } catch (cause) {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
  }
  process.stderr.write(usage);
  process.exit(EX_USAGE);
}

function readConfig<S extends z.ZodType>(file: string, schema: S): z.infer<S> {
  try {
    return loadConfig(file, schema, process.env);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    process.stderr.write(`${cause.message}\n`);
    process.exit(EX_CONFIG);
  }
}
