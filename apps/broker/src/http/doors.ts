import type { TrustDomain } from '@carnet/events';
import { guardServer, peerIdentity, serverTlsOptions, shownLeaf, type TlsMaterial, tokenServerTlsOptions } from '@carnet/pki';
import { addFacade, type FacadePorts } from '../barbican/facade.ts';
import type { ServiceRefusal } from '../service/result.ts';
import type { Caller } from '../users/caller.ts';
import type { ByToken } from '../users/users.ts';
import { type App, addRoutes, createApp, type Request } from './app.ts';

export type DoorPorts = Omit<FacadePorts, 'authenticate'> & { readonly domain: TrustDomain; readonly tls: TlsMaterial };

/** The door for client certificates of this CSP; a caller without one never gets as far as HTTP. */
export function certificateDoor(ports: DoorPorts): App {
  const app = createApp(serverTlsOptions(ports.tls));
  guardServer(app.server, ports.tls, { trustDomain: ports.domain }, (refusal, address) => {
    ports.metrics.refusals.inc({ code: refusal.code });
    ports.log.warn({ code: refusal.code, address }, 'client certificate refused');
  });
  serveOn(app, { ...ports, authenticate: byCertificate });
  return app;
}

async function byCertificate(request: Request): Promise<Caller | ServiceRefusal> {
  const identity = peerIdentity(request.raw.socket);
  if (identity === undefined) return { ok: false, code: 'CALLER_UNKNOWN', text: 'no client certificate was accepted' };
  return {
    principal: identity.spiffeId,
    via: 'mtls',
    credential: { kind: 'certificate', leaf: shownLeaf(request.raw.socket) ?? '' },
  };
}

/** The door for tokens: same TLS certificate, no client certificate asked for. */
export function tokenDoor(ports: DoorPorts, byToken: ByToken): App {
  const app = createApp(tokenServerTlsOptions(ports.tls));
  serveOn(app, { ...ports, authenticate: (request) => byToken(request.headers, request.raw.socket.remoteAddress ?? '') });
  return app;
}

/** Every door has both APIs: Carnet's, and Barbican's for reading keys. */
function serveOn(app: App, ports: FacadePorts): void {
  addRoutes(app, ports);
  addFacade(app, ports);
}
