import { timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { TrustDomain } from '@carnet/events';
import { guardServer, peerIdentity, serverTlsOptions, type TlsMaterial, tokenServerTlsOptions } from '@carnet/pki';
import { sha256Hex } from '@carnet/trust';
import type { ServiceRefusal } from '../service/service.ts';
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

/** The door for bearer tokens: same TLS certificate, no client certificate asked for. Only SHA-256 of tokens are kept. */
export function tokenDoor(ports: DoorPorts, tokenFile: string): App {
  const app = createApp(tokenServerTlsOptions(ports.tls));
  addRoutes(app, { ...ports, authenticate: (request) => byToken(request.headers.authorization, tokenFile) });
  return app;
}

const BEARER = /^Bearer (\S{16,512})$/;
const TOKEN_LINE = /^(\S+)\s+([0-9a-f]{64})$/;

/** The file is read at each request: a token that was taken out of it is refused from then on. */
async function byToken(authorization: string | undefined, tokenFile: string): Promise<Caller | ServiceRefusal> {
  const token = BEARER.exec(authorization ?? '')?.[1];
  if (token === undefined) return { ok: false, code: 'CALLER_UNKNOWN', text: 'a bearer token is needed at this door' };
  const presented = Buffer.from(sha256Hex(Buffer.from(token)));
  let principal: string | undefined;
  // Every line is compared, each in constant time: how long this takes tells nothing about tokens.
  for (const line of (await readFile(tokenFile, 'utf8')).split('\n')) {
    const [, name, known = ''] = TOKEN_LINE.exec(line.trim()) ?? [];
    if (known.length === presented.length && timingSafeEqual(Buffer.from(known), presented)) principal = name;
  }
  if (principal === undefined) return { ok: false, code: 'TOKEN_REFUSED', text: 'the bearer token is unknown' };
  return { principal, via: 'token' };
}
