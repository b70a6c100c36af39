import { serverTlsOptions, tokenServerTlsOptions } from '@carnet/pki';
import type { BrokerConfig } from '../config.ts';
import type { Ground } from '../ground.ts';
import { peeringDoor } from '../peering/door.ts';
import { openInviter } from '../peering/inviter.ts';
import type { ApiKeys } from '../users/api-keys.ts';
import { openIssuers } from '../users/issuers.ts';
import { openKeystoneUsers } from '../users/keystone.ts';
import { type ByToken, byToken } from '../users/users.ts';
import type { Wired } from '../wire.ts';
import { certificateDoor, type DoorPorts, tokenDoor } from './doors.ts';

export interface Doors {
  /** New connections are served under the leaf of now; those that are open go on. */
  readonly refresh: () => void;
  readonly close: () => Promise<void>;
}

/** Opens every door that the configuration names, or none: a port that is taken ends the start, with its name. */
export async function openDoors(ground: Ground, { service, secrets, policy, apiKeys, peering }: Wired): Promise<Doors> {
  const { config, log, metrics, tls } = ground;
  const ports: DoorPorts = { service, secrets, roleOf: policy.roleOf, log, metrics, domain: config.domain, tls };
  const {
    tokens,
    peering: { door },
  } = config;
  const apps = [
    { app: certificateDoor(ports), at: config.http, options: serverTlsOptions },
    ...(tokens === undefined
      ? []
      : [{ app: tokenDoor(ports, usersOf(tokens, ground, apiKeys)), at: tokens, options: tokenServerTlsOptions }]),
    ...(door === undefined
      ? []
      : [{ app: peeringDoor({ ...ground, inviter: openInviter(peering) }), at: door, options: serverTlsOptions }]),
  ];
  for (const { app, at } of apps) await app.listen({ host: at.address, port: at.port });
  return {
    refresh: () => {
      for (const { app, options } of apps) app.server.setSecureContext(options(tls));
    },
    close: async () => {
      await Promise.all(apps.map(({ app }) => app.close()));
    },
  };
}

function usersOf({ issuers, keystone }: NonNullable<BrokerConfig['tokens']>, { log, nowMs }: Ground, apiKeys: ApiKeys): ByToken {
  return byToken(apiKeys, openIssuers(issuers, log), keystone && openKeystoneUsers(keystone, log, nowMs));
}
