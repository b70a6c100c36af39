import type { TrustDomain } from '@carnet/events';
import { guardServer, peerIdentity, serverTlsOptions, type TlsMaterial, tokenServerTlsOptions } from '@carnet/pki';
import type { ServiceRefusal } from '../service/service.ts';
import type { ByBearer } from '../users/users.ts';
import { type App, type AppPorts, addRoutes, createApp, type Request } from './app.ts';
import type { Caller } from './route.ts';

export type DoorPorts = Omit<AppPorts, 'authenticate'> & { readonly domain: TrustDomain; readonly tls: TlsMaterial };

/** The door for client certificates of this CSP; a caller without one never gets as far as HTTP. */
export function certificateDoor(ports: DoorPorts): App {
  const app = createApp(serverTlsOptions(ports.tls));
  guardServer(app.server, ports.tls, { trustDomain: ports.domain }, (refusal, address) => {
    ports.metrics.refusals.inc({ code: refusal.code });
    ports.log.warn({ code: refusal.code, address }, 'client certificate refused');
  });
  addRoutes(app, { ...ports, authenticate: byCertificate });
  return app;
}

async function byCertificate(request: Request): Promise<Caller | ServiceRefusal> {
  const identity = peerIdentity(request.raw.socket);
  if (identity === undefined) return { ok: false, code: 'CALLER_UNKNOWN', text: 'no client certificate was accepted' };
  return { principal: identity.spiffeId, via: 'mtls' };
}

/** The door for bearer tokens: same TLS certificate, no client certificate asked for. */
export function tokenDoor(ports: DoorPorts, byBearer: ByBearer): App {
  const app = createApp(tokenServerTlsOptions(ports.tls));
  addRoutes(app, { ...ports, authenticate: (request) => byBearer(request.headers.authorization) });
  return app;
}
