import net from 'node:net';
import tls from 'node:tls';
import { armDeadline } from './deadline.ts';
import { LibvirtError } from './error.ts';

/** How to reach a daemon. */
export type Transport =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tls';
      readonly host: string;
      /** libvirt's registered port is 16514. */
      readonly port: number;
      /** PEM. Only servers below this authority are spoken to. */
      readonly ca: string;
      /** PEM: our certificate, chain included, and its key; the daemon asks for both. */
      readonly cert: string;
      readonly key: string;
      /** The name the server's certificate must carry; the host by default. */
      readonly serverName?: string;
    };

/** The daemon sends this one byte when it has admitted our certificate (virNetTLSContext, since 0.4). */
const ADMITTED = 0x01;

/** Opens the socket; with TLS, returns only after the daemon has confirmed that we may talk. */
export async function openSocket(transport: Transport, timeoutMs: number, signal?: AbortSignal): Promise<net.Socket> {
  const socket = transport.kind === 'unix' ? net.connect({ path: transport.path }) : connectTls(transport);
  const { promise, resolve, reject } = Promise.withResolvers<net.Socket>();
  const fail = (error: LibvirtError): void => {
    socket.destroy();
    reject(error);
  };
  const disarm = armDeadline(timeoutMs, signal, (end) => fail(new LibvirtError(end.code, end.message, { cause: end.cause })));
  let secured = false;
  const failed = (cause: unknown): void => fail(refusal(secured, cause));
  const closed = (): void => fail(refusal(secured, undefined));
  socket.on('error', failed).on('close', closed);
  if (transport.kind === 'unix') socket.once('connect', () => resolve(socket));
  else {
    socket.once('secureConnect', () => {
      secured = true;
      awaitAdmission(socket, () => resolve(socket), fail);
    });
  }
  try {
    return await promise;
  } finally {
    disarm();
    socket.off('error', failed).off('close', closed);
    // A socket that we gave up may still report an error: it has been told already.
    socket.on('error', () => undefined);
  }
}

function connectTls(transport: Extract<Transport, { kind: 'tls' }>): tls.TLSSocket {
  const { host, port, ca, cert, key, serverName = host } = transport;
  return tls.connect({
    host,
    port,
    ca,
    cert,
    key,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: true,
    // An address is compared with the certificate's IP names; SNI is for host names only (RFC 6066, 3).
    ...(net.isIP(serverName) === 0 ? { servername: serverName } : {}),
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(serverName, certificate),
  });
}

/** In TLS 1.3 our handshake ends before the server has judged our certificate: only this byte says yes. */
function awaitAdmission(socket: net.Socket, admitted: () => void, fail: (error: LibvirtError) => void): void {
  socket.once('data', (chunk: Buffer) => {
    socket.pause();
    if (chunk[0] !== ADMITTED) return fail(new LibvirtError('PEER_REFUSED', 'the daemon did not admit our certificate'));
    if (chunk.length > 1) socket.unshift(chunk.subarray(1));
    admitted();
  });
}

function refusal(secured: boolean, cause: unknown): LibvirtError {
  return secured
    ? new LibvirtError('PEER_REFUSED', 'the daemon closed the connection instead of admitting our certificate', { cause })
    : new LibvirtError('CONNECT_FAILED', 'no connection to the daemon', { cause });
}
