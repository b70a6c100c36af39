#!/usr/bin/env node
import { openLeaf, tlsOf } from '@carnet/pki';
import { createLog, drainOnSignals, runService } from '@carnet/runtime';
import { brokerKeys } from './broker-keys.ts';
import { connectBus, serveBus } from './bus.ts';
import { systemClock } from './clock.ts';
import { type AgentConfig, agentConfig } from './config.ts';
import { isHookInstalled } from './fence/install.ts';
import { openHost } from './host.ts';
import { tendAgentLeaf } from './tend-leaf.ts';
import { crlTaker, openAgentTrust } from './trust.ts';

const USAGE = `usage: carnet-agent --config FILE [--check-config]

One hypervisor host's agent: performs its broker's signed commands beside libvirt, and testifies to what it saw.

  --config FILE     TOML; CARNET_* variables override it
  --check-config    report every fault of the configuration at once, and stop
`;

/** The register binds this agent; an administrator's virsh is bound by the hook only. */
const hookWarnings = ({ libvirt }: AgentConfig): readonly string[] =>
  isHookInstalled(libvirt.hooks)
    ? []
    : [`${libvirt.hooks} has no hook of Carnet: virsh and autostart can start a VM that was given away (carnet-fence install)`];

async function start(config: AgentConfig): Promise<void> {
  const log = createLog('agent', config.log.level);
  const now = () => systemClock.now();
  const store = openAgentTrust(config, Date.now);
  const leaf = openLeaf(config.identity, Date.now);
  const tls = tlsOf(leaf, store, now);
  const broker = brokerKeys(config.trust.brokerCertificateFile, config.domain, store, now);
  const host = await openHost(config, leaf, store, broker, log);
  const bus = await connectBus(config, tls);
  const service = serveBus({
    bus,
    agent: host.agent,
    host: config.host,
    keys: broker.keys,
    leaf,
    learnChain: broker.learn,
    takeCrl: crlTaker(config, { keys: broker.keys, trust: store }, log),
    log,
  });
  const renewal = tendAgentLeaf(config, leaf, tls, service, log);
  for (const warning of hookWarnings(config)) log.warn({}, warning);
  log.info({ host: config.host, domain: config.domain }, 'agent ready');
  drainOnSignals(log, async () => {
    try {
      await renewal.stop();
      await service.stop();
    } finally {
      await host.close();
    }
  });
}

await runService({ usage: USAGE, schema: agentConfig, start, warnings: hookWarnings });
