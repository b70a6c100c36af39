#!/usr/bin/env node
import { loadLeaf } from '@carnet/pki';
import { createLog, drainOnSignals, runService } from '@carnet/runtime';
import { brokerKeys } from './broker-keys.ts';
import { connectBus, serveBus } from './bus.ts';
import { systemClock } from './clock.ts';
import { type AgentConfig, agentConfig } from './config.ts';
import { openHost } from './host.ts';
import { crlTaker, openAgentTrust } from './trust.ts';

const USAGE = `usage: carnet-agent --config FILE [--check-config]

One hypervisor host's agent: performs its broker's signed commands beside libvirt, and testifies to what it saw.

  --config FILE     TOML; CARNET_* variables override it
  --check-config    report every fault of the configuration at once, and stop
`;

async function start(config: AgentConfig): Promise<void> {
  const log = createLog('agent', config.log.level);
  const now = () => systemClock.now();
  const store = openAgentTrust(config, Date.now);
  const identity = loadLeaf(config.identity);
  const host = await openHost(config, identity, store, log);
  const bus = await connectBus(config, { keyPem: identity.keyPem, chainPem: identity.certificatePem, store, now });
  const keys = brokerKeys(config.trust.brokerCertificateFile, config.domain, store, now);
  const service = serveBus({
    bus,
    agent: host.agent,
    host: config.host,
    keys,
    signer: identity.signer,
    takeCrl: crlTaker(config, keys, log),
    log,
  });
  log.info({ host: config.host, domain: config.domain }, 'agent ready');
  drainOnSignals(log, async () => {
    await service.stop();
    await host.close();
  });
}

await runService({ usage: USAGE, schema: agentConfig, start });
