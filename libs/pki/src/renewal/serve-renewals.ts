import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { TLSSocket } from 'node:tls';
import type { TrustDomain } from '@carnet/events';
import { accept, type Checked } from '@carnet/trust';
import type { PkiCode } from '../codes.ts';
import { PkiError } from '../error.ts';
import { type Office, renewLeaf } from '../issuing/issue.ts';
import { CSR_BYTES_MAX, ISSUER_ANSWER_MS_MAX } from '../limits.ts';
import { readRequest } from '../request.ts';
import { guardServer, peerIdentity, serverTlsOptions, type TlsMaterial } from '../tls.ts';
import { EST_PATH } from './ask-issuer.ts';
import { writeCertsOnly } from './certs-only.ts';

export type RenewalService = {
  readonly port: number;
  /** New connections are served under the leaf of now. */
  readonly refresh: () => void;
  readonly close: () => Promise<void>;
};

export type RenewalServicePorts = {
  readonly office: Office;
  readonly domain: TrustDomain;
  readonly tls: TlsMaterial;
  readonly listen: { readonly address: string; readonly port: number };
  /** What was asked by whom, and what came of it: `renewed`, or the code of the refusal. */
  readonly told: (what: { readonly who: string; readonly outcome: string }) => void;
};

type Answer = { readonly status: number; readonly type: string; readonly body: string };
const said = (status: number, text: string): Answer => ({ status, type: 'text/plain', body: `${text}\n` });

/**
 * A CSP's issuing authority on its own network: renews leaves that are still good, for whoever proves by TLS to hold them, and does
 * nothing else. First certificates are an operator's to sign.
 */
export async function serveRenewals(ports: RenewalServicePorts): Promise<RenewalService> {
  const server = createServer({ ...serverTlsOptions(ports.tls), requestTimeout: ISSUER_ANSWER_MS_MAX }, (request, response) => {
    answer(request, ports)
      .catch((cause: unknown) =>
        cause instanceof PkiError && cause.code === 'AUTHORITY_BUSY' ? said(503, 'AUTHORITY_BUSY') : said(500, 'INTERNAL'),
      )
      .then((made) => send(response, made));
  });
  guardServer(server, ports.tls, { trustDomain: ports.domain }, (refused, address) =>
    ports.told({ who: address, outcome: refused.code }),
  );
  server.listen(ports.listen.port, ports.listen.address);
  await once(server, 'listening');
  return {
    port: portOf(server),
    refresh: () => server.setSecureContext(serverTlsOptions(ports.tls)),
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('impossible: a TCP server has a port');
  return address.port;
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, { 'content-type': type, 'content-transfer-encoding': 'base64', connection: 'close' });
  response.end(body);
}

async function answer(request: IncomingMessage, { office, told }: RenewalServicePorts): Promise<Answer> {
  if (request.method !== 'POST' || request.url !== EST_PATH) return said(404, `POST ${EST_PATH}`);
  const identity = peerIdentity(request.socket);
  const held = request.socket instanceof TLSSocket ? request.socket.getPeerCertificate().raw : undefined;
  if (identity === undefined || held === undefined) return said(403, 'PEER_UNAUTHENTICATED');
  const body = await bodyOf(request);
  const renewed = body === undefined ? undefined : renewFor(office, body, Uint8Array.from(held));
  if (renewed === undefined) return said(413, 'CSR_MALFORMED');
  told({ who: identity.spiffeId, outcome: renewed.ok ? 'renewed' : renewed.code });
  if (!renewed.ok) return said(403, `${renewed.code}: ${renewed.text}`);
  const body64 = Buffer.from(writeCertsOnly(renewed.value)).toString('base64');
  return { status: 200, type: 'application/pkcs7-mime; smime-type=certs-only', body: body64 };
}

/** Leaf and intermediate for a request in DER, for the holder of a leaf. */
export function renewFor(office: Office, csr: Uint8Array, held: Uint8Array): Checked<readonly Uint8Array[], PkiCode> {
  const request = readRequest(csr);
  if (!request.ok) return request;
  const leaf = renewLeaf(office, request.value, held);
  return leaf.ok ? accept([leaf.value.certificate, office.authority.certificate]) : leaf;
}

/** undefined: too long. Base64, with line breaks as MIME has them. */
async function bodyOf(request: IncomingMessage): Promise<Uint8Array | undefined> {
  let text = '';
  request.setEncoding('latin1');
  for await (const more of request) {
    text += String(more);
    if (text.length > 2 * CSR_BYTES_MAX) return undefined;
  }
  return Uint8Array.from(Buffer.from(text, 'base64'));
}
