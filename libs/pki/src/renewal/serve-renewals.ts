import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { TLSSocket } from 'node:tls';
import type { TrustDomain } from '@carnet/events';
import { accept, type Checked, parseStrictJson } from '@carnet/trust';
import { z } from 'zod';
import { REVOCATION_REASONS, type RevocationReason } from '../build-crl.ts';
import type { PkiCode } from '../codes.ts';
import { PkiError } from '../error.ts';
import { authorityPaths } from '../issuing/authority-files.ts';
import type { Office } from '../issuing/issue.ts';
import { renewLeaf } from '../issuing/renew-leaf.ts';
import { revokeCertificate } from '../issuing/revoke.ts';
import { CSR_BYTES_MAX, ISSUER_ANSWER_MS_MAX } from '../limits.ts';
import type { PeerIdentity } from '../path.ts';
import { idFitsProfile } from '../profiles.ts';
import { readRequest } from '../request.ts';
import { guardServer, peerIdentity, serverTlsOptions, type TlsMaterial } from '../tls.ts';
import { writeCertsOnly } from './certs-only.ts';
import { CRL_PATH, EST_PATH, REVOKE_PATH } from './issuer-paths.ts';

export type RenewalService = {
  readonly port: number;
  /** New connections are served under the leaf of now. */
  readonly refresh: () => void;
  readonly close: () => Promise<void>;
};

export type RenewalServicePorts = {
  readonly office: Office;
  /** Time until a CRL is stale, in milliseconds. */
  readonly crlMs: number;
  readonly domain: TrustDomain;
  readonly tls: TlsMaterial;
  readonly listen: { readonly address: string; readonly port: number };
  /** What was asked by whom, and what came of it: `renewed`, or the code of the refusal. */
  readonly told: (what: { readonly who: string; readonly outcome: string }) => void;
};

type Answer = { readonly status: number; readonly type: string; readonly body: string | Uint8Array };
const said = (status: number, text: string): Answer => ({ status, type: 'text/plain', body: `${text}\n` });

/**
 * A CSP's issuing authority on its own network: renews leaves that are still good, for whoever proves by TLS to hold them, gives out
 * the CRL, and revokes for operators. First certificates are signed at the directory.
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
  const encoding = typeof body === 'string' ? { 'content-transfer-encoding': 'base64' } : {};
  response.writeHead(status, { 'content-type': type, ...encoding, connection: 'close' });
  response.end(body);
}

async function answer(request: IncomingMessage, ports: RenewalServicePorts): Promise<Answer> {
  const identity = peerIdentity(request.socket);
  if (identity === undefined) return said(403, 'PEER_UNAUTHENTICATED');
  switch (`${request.method} ${request.url}`) {
    case `POST ${EST_PATH}`:
      return reenroll(request, identity, ports);
    case `GET ${CRL_PATH}`:
      return crlAnswer(Uint8Array.from(readFileSync(authorityPaths(ports.office.dir).crl)));
    case `POST ${REVOKE_PATH}`:
      return revoke(request, identity, ports);
    default:
      return said(404, 'no such path');
  }
}

const crlAnswer = (body: Uint8Array): Answer => ({ status: 200, type: 'application/pkix-crl', body });

const revocation = z.strictObject({
  serial: z.string().regex(/^[0-9a-f]{1,40}$/),
  reason: z.enum(Object.keys(REVOCATION_REASONS) as [RevocationReason, ...RevocationReason[]]),
  reach: z.enum(['line', 'one']).default('line'),
});

/** Operators only: an agent that was broken into must not take its CSP down by revoking everybody. */
async function revoke(
  request: IncomingMessage,
  { spiffeId }: PeerIdentity,
  { office, crlMs, told }: RenewalServicePorts,
): Promise<Answer> {
  const tell = (outcome: string): void => told({ who: spiffeId, outcome });
  if (!idFitsProfile('operator', spiffeId)) {
    tell('ROLE_MISSING');
    return said(403, 'ROLE_MISSING: expected an operator');
  }
  const json = parseStrictJson(Buffer.from((await textOf(request)) ?? ''));
  const wish = json.ok ? revocation.safeParse(json.value) : undefined;
  if (wish?.data === undefined) return said(400, 'REQUEST_MALFORMED: expected serial and reason');
  const revoked = revokeCertificate(office, { ...wish.data, crlMs });
  tell(revoked.ok ? `revoked ${wish.data.serial}` : revoked.code);
  return revoked.ok ? crlAnswer(revoked.value) : said(403, `${revoked.code}: ${revoked.text}`);
}

async function reenroll(
  request: IncomingMessage,
  identity: PeerIdentity,
  { office, told }: RenewalServicePorts,
): Promise<Answer> {
  const held = request.socket instanceof TLSSocket ? request.socket.getPeerCertificate().raw : undefined;
  if (held === undefined) return said(403, 'PEER_UNAUTHENTICATED');
  // Base64, with line breaks as MIME has them.
  const body = await textOf(request);
  const csr = body === undefined ? undefined : Uint8Array.from(Buffer.from(body, 'base64'));
  const renewed = csr === undefined ? undefined : renewFor(office, csr, Uint8Array.from(held));
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

/** undefined: too long. */
async function textOf(request: IncomingMessage): Promise<string | undefined> {
  let text = '';
  request.setEncoding('latin1');
  for await (const more of request) {
    text += String(more);
    if (text.length > 2 * CSR_BYTES_MAX) return undefined;
  }
  return text;
}
