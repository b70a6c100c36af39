#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { ConfigError, createLog, drainOnSignals, loadConfig } from '@carnet/runtime';
import { brokerKeys } from './broker-keys.ts';
import { connectBus, serveBus } from './bus.ts';
import { systemClock } from './clock.ts';
import { type AgentConfig, agentConfig } from './config.ts';
import { openHost } from './host.ts';
import { loadIdentity } from './identity.ts';
import { openTrustFiles } from './trust-files.ts';

const USAGE = 'usage: carnet-agent --config FILE [--check-config]';

/** Exit codes of sysexits.h: 64 usage, 78 configuration. */
const EX_USAGE = 64;
const EX_CONFIG = 78;

function readArguments(): { readonly file: string; readonly checkOnly: boolean } {
  try {
    const { values } = parseArgs({
      options: { config: { type: 'string' }, 'check-config': { type: 'boolean', default: false } },
    });
    if (values.config !== undefined) return { file: values.config, checkOnly: values['check-config'] };
  } catch (cause) {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
  }
  process.stderr.write(`${USAGE}\n`);
  process.exit(EX_USAGE);
}

function readConfig(file: string): AgentConfig {
  try {
    return loadConfig(file, agentConfig, process.env);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    process.stderr.write(`${cause.message}\n`);
    process.exit(EX_CONFIG);
  }
}

async function run(config: AgentConfig): Promise<void> {
  const log = createLog('agent', config.log.level);
  const now = () => systemClock.now();
  const store = openTrustFiles(config.trust, Date.now);
  const identity = loadIdentity(config.identity);
  const host = await openHost(config, identity, store, log);
  const bus = await connectBus(config, { keyPem: identity.keyPem, chainPem: identity.certificatePem, store, now });
  const keys = brokerKeys(config.trust.brokerCertificateFile, config.domain, store, now);
  const service = serveBus({ bus, agent: host.agent, host: config.host, keys, signer: identity.signer, log });
  log.info({ host: config.host, domain: config.domain }, 'agent ready');
  drainOnSignals(log, async () => {
    await service.stop();
    await host.close();
  });
}

const { file, checkOnly } = readArguments();
const config = readConfig(file);
if (checkOnly) process.stdout.write(`${file}: ok\n`);
else await run(config);
