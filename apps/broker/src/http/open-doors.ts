import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Check } from '@carnet/runtime';
import type { Ground } from '../broker.ts';
import type { Wired } from '../wire.ts';
import { certificateDoor, type DoorPorts, tokenDoor } from './doors.ts';
import { createOpsServer } from './ops.ts';

export interface Doors {
  readonly close: () => Promise<void>;
}

/** Opens every door that the configuration names, or none: a port that is taken ends the start, with its name. */
export async function openDoors(ground: Ground, { service, policy }: Wired, checks: readonly Check[]): Promise<Doors> {
  const { config, log, metrics, tls } = ground;
  const ports: DoorPorts = { service, roleOf: policy.roleOf, log, metrics, domain: config.domain, tls };
  const apps = [
    { app: certificateDoor(ports), at: config.http },
    ...(config.tokens === undefined ? [] : [{ app: tokenDoor(ports, config.tokens.file), at: config.tokens }]),
  ];
  for (const { app, at } of apps) await app.listen({ host: at.address, port: at.port });
  const ops = createOpsServer(metrics, checks);
  await listen(ops, config.ops);
  return {
    close: async () => {
      ops.close();
      ops.closeAllConnections();
      await Promise.all(apps.map(({ app }) => app.close()));
    },
  };
}

async function listen(server: Server, at: { readonly address: string; readonly port: number }): Promise<void> {
  server.listen(at.port, at.address);
  await once(server, 'listening');
}
