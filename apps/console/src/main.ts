#!/usr/bin/env node
import { createLog, drainOnSignals, runService } from '@carnet/runtime';
import { consoleConfig } from './config.ts';
import { startConsole } from './console.ts';

const USAGE = `usage: carnet-console --config FILE [--check-config]

Shows one CSP's migrations, ledgers and keys in a browser on this machine. Reads only.
Prints one line: the address with this start's access token. Logs go to stderr.

  --config FILE     TOML; CARNET_* variables override it
  --check-config    report every fault of the configuration at once, and stop
`;

await runService({
  usage: USAGE,
  schema: consoleConfig,
  start: async (config) => {
    const log = createLog('console', config.log.level);
    const { url, stop } = await startConsole(config, log);
    drainOnSignals(log, stop);
    process.stdout.write(`${url}\n`);
  },
});
