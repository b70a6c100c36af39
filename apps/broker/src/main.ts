#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { ConfigError, createLog, drainOnSignals, loadConfig } from '@carnet/runtime';
import { startBroker } from './broker.ts';
import { type BrokerConfig, brokerConfig } from './config.ts';

const USAGE = `usage: carnet-broker --config FILE [--check-config]

One CSP's broker: takes requests, keeps the ledgers, drives migrations. Several replicas may share one database.

  --config FILE     TOML; CARNET_* variables override it, CARNET_DATABASE_URL names the database
  --check-config    report every fault of the configuration at once, and stop
`;

/** Exit codes of sysexits.h: 64 usage, 78 configuration. */
const EX_USAGE = 64;
const EX_CONFIG = 78;

function readArguments(): { readonly file: string; readonly checkOnly: boolean } {
  try {
    const { values } = parseArgs({ options: { config: { type: 'string' }, 'check-config': { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } } });
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

function readConfig(file: string): BrokerConfig {
  try {
    return loadConfig(file, brokerConfig, process.env);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    process.stderr.write(`${cause.message}\n`);
    process.exit(EX_CONFIG);
  }
}

async function run(config: BrokerConfig): Promise<void> {
  const log = createLog('broker', config.log.level);
  const broker = await startBroker(config, process.env, log);
  drainOnSignals(log, broker.stop);
}

const { file, checkOnly } = readArguments();
const config = readConfig(file);
if (checkOnly) process.stdout.write(`${file}: ok\n`);
else await run(config);
