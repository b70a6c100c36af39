import { join } from 'node:path';
import { runAs } from './identity.ts';
import { type Nats, startNats } from './nats.ts';
import { freePort } from './ports.ts';
import { privateDir } from './scratch.ts';

/** One server of a cluster, for its configuration: name, `host:port` for the others, and `host:port` of all. */
export type NatsNode = { readonly node: string; readonly listen: string; readonly routes: readonly string[] };

export type NatsClusterOptions = {
  readonly dir: string;
  readonly count: number;
  readonly configText: (node: NatsNode) => string;
};

/** Several nats-servers that know each other, each in a directory `node-<n>` of its own. JetStream's leader comes a few seconds later. */
export async function startNatsCluster({ dir, count, configText }: NatsClusterOptions): Promise<readonly [Nats, ...Nats[]]> {
  privateDir(dir, runAs());
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  const routes = ports.map((port) => `127.0.0.1:${port}`);
  const start = (listen: string, i: number): Promise<Nats> => {
    const node = `node-${i + 1}`;
    return startNats({ dir: join(dir, node), configText: configText({ node, listen, routes }) });
  };
  const started = await Promise.allSettled(routes.map(start));
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = started.find((one) => one.status === 'rejected');
  const [first, ...others] = nodes;
  if (failed !== undefined || first === undefined) {
    await Promise.all(nodes.map((node) => node.stop()));
    throw failed?.reason ?? new RangeError(`expected one server or more, got ${count}`);
  }
  return [first, ...others];
}
