import { request } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { shownLeaf } from './introducing.ts';

export type TlsQuestion = {
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole answer, milliseconds. */
  readonly timeoutMs: number;
  /** Of the answer's body: more of it fails the exchange. */
  readonly bytesMax: number;
};

/** `leaf`: of whoever answered, base64 DER. */
export type TlsAnswer = { readonly status: number; readonly body: Uint8Array; readonly leaf: string | undefined };

/**
 * One question over a TLS connection of its own: under the leaf of now, and judged now. Rejects with whatever went wrong.
 *
 * @param tls of `clientTlsOptions` or `introducingTlsOptions`: who is there is judged before a byte is sent
 */
export function exchangeOverTls(tls: ConnectionOptions, url: URL, question: TlsQuestion): Promise<TlsAnswer> {
  const { method, headers = {}, body = '', timeoutMs, bytesMax } = question;
  const answered = Promise.withResolvers<TlsAnswer>();
  const asked = request(url, {
    ...tls,
    method,
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
  });
  asked.once('error', answered.reject);
  // Threat: without a listener Node ends such an exchange without a word, and whoever waits for it waits for ever.
  asked.once('upgrade', (_response, socket) => {
    socket.destroy();
    answered.reject(new Error('the answer is another protocol'));
  });
  asked.once('response', (response) => {
    const leaf = shownLeaf(response.socket);
    const parts: Buffer[] = [];
    let length = 0;
    response.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length > bytesMax) response.destroy(new Error('the answer is too long'));
    });
    response.once('error', answered.reject);
    response.once('end', () =>
      answered.resolve({ status: response.statusCode ?? 0, body: new Uint8Array(Buffer.concat(parts)), leaf }),
    );
  });
  asked.end(body);
  return answered.promise;
}
