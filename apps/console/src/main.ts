#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { ConfigError, createLog, drainOnSignals, loadConfig } from '@carnet/runtime';
import { UiNotBuilt } from './assets.ts';
import { type ConsoleConfig, consoleConfig } from './config.ts';
import { startConsole } from './console.ts';

const USAGE = `usage: carnet-console --config FILE [--check-config]

Shows one CSP's migrations, ledgers and keys in a browser on this machine. Reads only.
Prints one line: the address with this start's access token. Logs go to stderr.

  --config FILE     TOML; CARNET_* variables override it
  --check-config    report every fault of the configuration at once, and stop
`;

/** Exit codes of sysexits.h: 64 usage, 69 unavailable, 78 configuration. */
const EX_USAGE = 64;
const EX_UNAVAILABLE = 69;
const EX_CONFIG = 78;

function readArguments(): { readonly file: string; readonly checkOnly: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        config: { type: 'string' },
        'check-config': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      process.exit(0);
    }
    if (values.config !== undefined) return { file: values.config, checkOnly: values['check-config'] };
  } catch (cause) {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
  }
  process.stderr.write(USAGE);
  process.exit(EX_USAGE);
}

function readConfig(file: string): ConsoleConfig {
  try {
    return loadConfig(file, consoleConfig, process.env);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    process.stderr.write(`${cause.message}\n`);
    process.exit(EX_CONFIG);
  }
}

async function run(config: ConsoleConfig): Promise<void> {
  const log = createLog('console', config.log.level);
  try {
    const { url, stop } = await startConsole(config, log);
    drainOnSignals(log, stop);
    process.stdout.write(`${url}\n`);
  } catch (cause) {
    process.stderr.write(`${cause instanceof UiNotBuilt ? cause.message : `console cannot start: ${String(cause)}`}\n`);
    process.exit(EX_UNAVAILABLE);
  }
}

const { file, checkOnly } = readArguments();
const config = readConfig(file);
if (checkOnly) process.stdout.write(`${file}: ok\n`);
else await run(config);
