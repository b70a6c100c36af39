#!/usr/bin/env node
import { randomBytes } from 'node:crypto';
import { timestamp } from '@carnet/events';
import { declareRootLost } from '@carnet/keys';
import { createLog, runService, StartRefused } from '@carnet/runtime';
import { openStore } from '@carnet/store';
import { brokerConfig } from './config.ts';
import { ensureKeyRoot, keyBackendOf } from './keys/key-root.ts';
import { spareDirOf } from './state-directory.ts';

const USAGE = `usage: carnet-root-lost --config FILE [--check-config]

The root of the keys is gone, with every backup of it. Stop the broker, then run this once: a new root begins beside what the old one wrapped, which stays
closed until custodians bring it back (carnet key escrow). Refused while the present root opens anything.

  --config FILE     the broker's; its environment counts as for the broker
  --check-config    report every fault of the configuration at once, and stop
`;

await runService({
  usage: USAGE,
  schema: brokerConfig,
  start: async (config) => {
    const log = createLog('root-lost', config.log.level);
    const url = process.env['CARNET_DATABASE_URL'] ?? config.database.url;
    if (url === undefined) throw new StartRefused('this needs a database of its own: database.url');
    const backend = keyBackendOf(config.keys, process.env);
    await ensureKeyRoot(backend.root, (n) => randomBytes(n));
    const store = await openStore({ url, applicationName: 'carnet-root-lost', log });
    try {
      const lost = await declareRootLost({
        store,
        ...backend,
        spareDir: spareDirOf(config),
        domain: config.domain,
        actor: `spiffe://${config.domain}/broker`,
        now: () => timestamp.parse(new Date().toISOString()),
        random: (n) => randomBytes(n),
      });
      if (!lost.ok) throw new StartRefused(`${lost.code}: ${lost.text}`);
      process.stdout.write(`${lost.value} KEKs lost; start the broker, then recover keys with carnet key escrow\n`);
    } finally {
      await store.close();
    }
  },
});
