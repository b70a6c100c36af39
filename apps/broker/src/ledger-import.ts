#!/usr/bin/env node
import { type Timestamp, timestamp } from '@carnet/events';
import { type Imported, importLedgers } from '@carnet/journal';
import { chainValidator } from '@carnet/pki';
import { createLog, runService, StartRefused } from '@carnet/runtime';
import { openStore } from '@carnet/store';
import { brokerConfig } from './config.ts';
import { readExport } from './import/read-export.ts';
import { headDirOf, openTrust } from './state-directory.ts';

const USAGE = `usage: carnet-ledger-import --config FILE --export FILE [--accept-behind] [--check-config]

The database is gone, with every backup of it. Stop all replicas, give them an empty database, then run this once: it brings back the ledgers of
this CSP and of its peers from an export (carnet-audit export). Every event is judged as if it had just come; all of it comes, or no row is
changed. Then start the broker: it says nothing before every peer has answered what it holds of us, and gets the rest from there.
No export holds keys or the inventory: VMs that were here run on, and this broker does not know them any more.

  --config FILE     the broker's; its environment counts as for the broker
  --export FILE     the newest export of this CSP
  --accept-behind   this CSP has told events that are neither in the export nor in its head files: leave them to peers and bus
  --check-config    report every fault of the configuration at once, and stop
`;

await runService({
  usage: USAGE,
  schema: brokerConfig,
  options: { export: 'string', 'accept-behind': 'boolean' },
  start: async (config, { export: file, 'accept-behind': acceptBehind }) => {
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

function reportOf({ ledgers, checkpoints, checkpointsLeftOut, behind }: Imported): string {
  const lines = [
    ...ledgers.map(({ publisher, audience, events }) => `${publisher} to ${audience}: ${events} events`),
    `${checkpoints} checkpoints hold${checkpointsLeftOut === 0 ? '' : `; ${checkpointsLeftOut} of ended keys are left out`}`,
    ...behind.map(({ peer, kept, told }) =>
      told === undefined
        ? `to ${peer}: ${kept} more events are in the head file`
        : `to ${peer}: ${kept} more events are in the head file, and what was told up to ${told} is at the peer or on the bus, or lost`,
    ),
    'quarantined until every peer has answered: start the broker',
  ];
  return lines.map((line) => `${line}\n`).join('');
}
