import type { Ground } from '../ground.ts';
import { openIssuers } from '../users/issuers.ts';
import { byToken } from '../users/users.ts';
import type { Wired } from '../wire.ts';
import { certificateDoor, type DoorPorts, tokenDoor } from './doors.ts';

export interface Doors {
  readonly close: () => Promise<void>;
}

/** Opens every door that the configuration names, or none: a port that is taken ends the start, with its name. */
export async function openDoors(ground: Ground, { service, secrets, policy, apiKeys }: Wired): Promise<Doors> {
  const { config, log, metrics, tls } = ground;
  const ports: DoorPorts = { service, secrets, roleOf: policy.roleOf, log, metrics, domain: config.domain, tls };
  const tokens = config.tokens;
  const apps = [
    { app: certificateDoor(ports), at: config.http },
    ...(tokens === undefined ? [] : [{ app: tokenDoor(ports, byToken(apiKeys, openIssuers(tokens.issuers, log))), at: tokens }]),
  ];
  for (const { app, at } of apps) await app.listen({ host: at.address, port: at.port });
  return {
    close: async () => {
      await Promise.all(apps.map(({ app }) => app.close()));
    },
  };
}
