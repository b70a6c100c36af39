import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:tls';
import type { TrustDomain } from '@carnet/events';
import { guardServer, peerIdentity, serverTlsOptions, type TlsMaterial } from '@carnet/pki';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ServiceRefusal } from '../service/service.ts';
import { addRoutes, type AppPorts, createApp } from './app.ts';
import type { Caller } from './route.ts';

export type DoorPorts = Omit<AppPorts, 'authenticate'> & { readonly domain: TrustDomain; readonly tls: TlsMaterial };

/** The door for client certificates of this CSP; a caller without one never gets as far as HTTP. */
export function certificateDoor(ports: DoorPorts): FastifyInstance {
  const app = createApp(serverTlsOptions(ports.tls));
  guardServer(app.server as unknown as Server, ports.tls, { trustDomain: ports.domain }, (refusal, address) => {
    ports.metrics.refusals.inc({ code: refusal.code });
    ports.log.warn({ code: refusal.code, address }, 'client certificate refused');
  });
  addRoutes(app, { ...ports, authenticate: byCertificate });
  return app;
}

async function byCertificate(request: FastifyRequest): Promise<Caller | ServiceRefusal> {
  const identity = peerIdentity(request.raw.socket);
  return identity === undefined ? { ok: false, code: 'CALLER_UNKNOWN', text: 'no client certificate was accepted' } : { principal: identity.spiffeId, via: 'mtls' };
}

/** The door for bearer tokens: same TLS certificate, no client certificate asked for. Only SHA-256 of tokens are kept. */
export function tokenDoor(ports: DoorPorts, tokenFile: string): FastifyInstance {
  const { requestCert: _asked, rejectUnauthorized: _demanded, ...tls } = serverTlsOptions(ports.tls);
  const app = createApp(tls);
  addRoutes(app, { ...ports, authenticate: async (request) => byToken(request.headers.authorization, tokenFile) });
  return app;
}

const TOKEN_LINE = /^(\S+)\s+([0-9a-f]{64})$/;

/** Read at each request: a token that was taken out of the file is refused from then on. */
function byToken(authorization: string | undefined, tokenFile: string): Caller | ServiceRefusal {
  const token = /^Bearer (\S{16,512})$/.exec(authorization ?? '')?.[1];
  if (token === undefined) return { ok: false, code: 'CALLER_UNKNOWN', text: 'a bearer token is needed at this door' };
  const presented = createHash('sha256').update(token).digest();
  let found: string | undefined;
  for (const line of readFileSync(tokenFile, 'utf8').split('\n')) {
    const [, principal, hex = ''] = TOKEN_LINE.exec(line.trim()) ?? [];
    const known = Buffer.from(hex, 'hex');
    if (known.length === presented.length && timingSafeEqual(known, presented)) found = principal;
  }
  return found === undefined ? { ok: false, code: 'TOKEN_REFUSED', text: 'the bearer token is unknown' } : { principal: found, via: 'token' };
}
