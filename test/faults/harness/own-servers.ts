import { createHash, X509Certificate } from 'node:crypto';
import { chmodSync, copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Nats, own, privateDir, runAs, startNats } from '@carnet/dev';
import { leafConfig } from '@carnet/journal';
import { type CspPlan, HOST } from '../../../infra/dev/src/clouds/layout.ts';

/** Certificate, key and root of the server of the bus or of a member, as the account that runs nats-server may read them. */
export function serverFiles(pki: string, folder: string, dir: string) {
  const as = runAs();
  const bring = (file: string): string => {
    const to = join(dir, file.split('/').at(-1) ?? '');
    copyFileSync(join(pki, file), to);
    chmodSync(to, 0o600);
    own(to, as);
    return to;
  };
  return { cert: bring(`${folder}/server.pem`), key: bring(`${folder}/server.key`), ca: bring('root.pem') };
}

export function keyPinOf(certificateFile: string): string {
  const spki = new X509Certificate(readFileSync(certificateFile)).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex');
}

export const leafIdentity = ({ domain }: CspPlan) => ({ domain, serverName: `nats.${domain}` });

export type LeafOf = {
  readonly root: string;
  readonly pki: string;
  readonly plan: CspPlan;
  readonly peer: CspPlan;
  readonly leafPort: number;
  /** Keys by which the bus is known. Default: those it has. */
  readonly keyPins?: readonly string[];
};

/** A CSP's own nats-server. It serves the CSP's other programs too: JetStream in a domain of its own disturbs nothing. */
export function startLeaf({ root, pki, plan, peer, leafPort, keyPins }: LeafOf): Promise<Nats> {
  const dir = privateDir(join(root, `leaf-${plan.key}`), runAs());
  const tls = serverFiles(pki, plan.domain, dir);
  const text = leafConfig({
    domain: plan.domain,
    hosts: [HOST],
    peers: [peer.domain],
    tls,
    hub: { servers: [`127.0.0.1:${leafPort}`], keyPins: keyPins ?? [keyPinOf(join(pki, 'bus', 'server.pem'))] },
  });
  const others = `jetstream { store_dir: "{{dir}}/jetstream", domain: "${plan.key}" }\n`;
  const account = 'accounts {\n  "others" { jetstream: enabled, users: [ { user: "others", password: "" } ] }\n';
  return startNats({ dir, configText: others + text.replace('accounts {\n', account) });
}
