#!/usr/bin/env node
import { type Timestamp, type TrustDomain, timestamp, trustDomain } from '@carnet/events';
import { type Imported, importLedgers } from '@carnet/journal';
import { chainValidator } from '@carnet/pki';
import { createLog, runService, StartRefused } from '@carnet/runtime';
import { openStore } from '@carnet/store';
import { type BrokerConfig, brokerConfig } from './config.ts';
import { readExport } from './import/read-export.ts';
import { headDirOf, openTrust } from './state-directory.ts';

const USAGE = `usage: carnet-ledger-import --config FILE --export FILE [--former DOMAIN[,...]] [--accept-behind] [--check-config]

The database is gone, with every backup of it. Stop all replicas, give them an empty database, then run this once: it brings back the ledgers of
this CSP and of its peers from an export (carnet-audit export). Every event is judged as if it had just come; all of it comes, or no row is
changed. Then start the broker: it says nothing before every peer has answered what it holds of us, and gets the rest from there.
No export holds keys or the inventory: VMs that were here run on, and this broker does not know them any more.

  --config FILE     the broker's; its environment counts as for the broker
  --export FILE     the newest export of this CSP
  --former DOMAIN[,DOMAIN ...]
                    peers that were removed, or are gone for good: their ledgers come in as well, and nobody waits for their answers
  --accept-behind   this CSP has told events that are neither in the export nor in its head files: leave them to peers and bus
  --check-config    report every fault of the configuration at once, and stop
`;

await runService({
  usage: USAGE,
  schema: brokerConfig,
  options: { export: 'string', former: 'string', 'accept-behind': 'boolean' },
  start: async (config, { export: file, former, 'accept-behind': acceptBehind }) => {
    if (typeof file !== 'string') throw new StartRefused('--export FILE is missing');
    const log = createLog('ledger-import', config.log.level);
    const url = process.env['CARNET_DATABASE_URL'] ?? config.database.url;
    if (url === undefined) throw new StartRefused('this needs a database of its own: database.url');
    const nowMs = (): number => Date.now();
    const now = (): Timestamp => timestamp.parse(new Date(nowMs()).toISOString());
    const trust = openTrust(config, nowMs);
    const store = await openStore({ url, applicationName: 'carnet-ledger-import', log });
    try {
      const imported = await importLedgers(
        {
          store,
          self: config.domain,
          peers: config.peers.map(({ domain }) => domain),
          former: formerPeers(former, config),
          // A certificate that was revoked since was good when it introduced its key; nothing new is taken of it either way.
          validateChain: async (...chain) => chainValidator(trust, now, 'as of then')(...chain),
          headDir: headDirOf(config),
          clock: { nowMs },
          log,
          acceptBehind: acceptBehind === true,
        },
        readExport(file),
      );
      if (!imported.ok)
        throw new StartRefused(`${imported.code}: ${imported.text}${imported.got === undefined ? '' : ` (${imported.got})`}`);
      process.stdout.write(reportOf(imported.value));
    } finally {
      await store.close();
    }
  },
});

/** Whoever stands in the configuration is a peer, and asked. */
function formerPeers(given: string | boolean | undefined, { peers }: BrokerConfig): readonly TrustDomain[] {
  if (typeof given !== 'string') return [];
  const domains = given.split(',').map((text) => {
    const domain = trustDomain.safeParse(text);
    if (!domain.success) throw new StartRefused(`--former: ${text} is no trust domain`);
    return domain.data;
  });
  const configured = domains.find((domain) => peers.some((peer) => peer.domain === domain));
  if (configured !== undefined) throw new StartRefused(`--former: ${configured} is a peer by the configuration`);
  return domains;
}

function reportOf({ ledgers, checkpoints, checkpointsLeftOut, behind }: Imported): string {
  const lines = [
    ...ledgers.map(({ publisher, audience, events }) => `${publisher} to ${audience}: ${events} events`),
    `${checkpoints} checkpoints hold${checkpointsLeftOut === 0 ? '' : `; ${checkpointsLeftOut} of ended keys are left out`}`,
    ...behind.map(({ peer, kept, told }) =>
      told === undefined
        ? `to ${peer}: ${kept} more events are in the head file`
        : `to ${peer}: ${kept} more events are in the head file, and what was told up to ${told} is at the peer or on the bus, or lost`,
    ),
    'quarantined until every peer of the configuration has answered: start the broker',
  ];
  return lines.map((line) => `${line}\n`).join('');
}
