import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { trustDomain } from '@carnet/events';
import { connectBroker } from '@carnet/publisher';
import type { Log } from '@carnet/runtime';
import { createAccess } from './access.ts';
import { createConsoleApp } from './app.ts';
import { readAssets } from './assets.ts';
import type { ConsoleConfig } from './config.ts';
import { startLedgerFeed } from './ledger-feed.ts';

/** Where `npm run build -w apps/console` puts the UI. */
const UI_DIRECTORY = join(import.meta.dirname, '../dist');

export interface RunningConsole {
  /** With the token behind `#`: browsers never send that part. For the operator's eyes only. */
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/**
 * Serves one CSP's console.
 * @throws UiNotBuilt, or an error of the system when a file cannot be read or the port is taken
 */
export async function startConsole(config: ConsoleConfig, log: Log): Promise<RunningConsole> {
  const assets = readAssets(UI_DIRECTORY);
  const certificate = readFileSync(config.broker.certificateFile);
  const domain = domainOf(certificate);
  const broker = connectBroker({
    url: config.broker.url,
    serverName: config.broker.serverName,
    ca: readFileSync(config.broker.rootFile),
    credentials: { kind: 'certificate', certificate, key: readFileSync(config.broker.keyFile) },
  });
  const access = createAccess();
  const feed = startLedgerFeed({ broker, log, now: () => new Date() });
  const stop = async (): Promise<void> => {
    await app.close();
    await feed.stop();
    broker.close();
  };
  const app = createConsoleApp({ domain, broker, feed, access, assets, log });
  try {
    const { address, port } = config.listen;
    const url = await app.listen({ host: address, port });
    log.info({ url, domain }, 'console listens');
    return { url: `${url}/#token=${access.token}`, stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

/** The CSP that our certificate belongs to: its one URI is `spiffe://<trust domain>/…`. */
export function domainOf(certificatePem: Buffer): string {
  const names = new X509Certificate(certificatePem).subjectAltName ?? '';
  const domain = trustDomain.safeParse(/(?:^|, )URI:spiffe:\/\/([^/,]+)\//.exec(names)?.[1]);
  if (!domain.success) throw new Error('broker.certificateFile: the certificate names no SPIFFE id');
  return domain.data;
}
