#!/usr/bin/env node
import { createLog, drainOnSignals, leaveOnSignals, runService } from '@carnet/runtime';
import { startBroker } from './broker.ts';
import { brokerConfig } from './config.ts';

const USAGE = `usage: carnet-broker --config FILE [--check-config]

One CSP's broker: takes requests, keeps the ledgers, drives migrations. Several replicas may share one database.

  --config FILE     TOML; CARNET_* variables override it, CARNET_DATABASE_URL names the database
  --check-config    report every fault of the configuration at once, and stop
`;

await runService({
  usage: USAGE,
  schema: brokerConfig,
  start: async (config) => {
    const log = createLog('broker', config.log.level);
    const startOver = leaveOnSignals(log);
    const broker = await startBroker(config, process.env, log);
    startOver();
    drainOnSignals(log, broker.stop);
  },
});
