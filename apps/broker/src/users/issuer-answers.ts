import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { rootCertificates } from 'node:tls';
import { ISSUER_ANSWER_BYTES_MAX, ISSUER_ANSWER_MS_MAX } from './limits.ts';

/** Fetches a document of an identity provider: TLS 1.3, its name checked, no redirects, bounded in time and size. */
export type FetchDocument = (url: string) => Promise<Uint8Array>;

/** `caFile`: who vouches for the provider, instead of the roots that come with Node. */
export function documentsVouchedBy(caFile: string | undefined): FetchDocument {
  return (url) =>
    new Promise((resolve, reject) => {
      // Read each time: a renewed CA takes no restart.
      const ca = caFile === undefined ? [...rootCertificates] : readFileSync(caFile, 'utf8');
      const signal = AbortSignal.timeout(ISSUER_ANSWER_MS_MAX);
      const headers = { accept: 'application/json' };
      const outgoing = request(url, { ca, minVersion: 'TLSv1.3', agent: false, signal, headers }, (response) => {
        const fail = (why: string): void => void outgoing.destroy(new Error(`${url}: ${why}`));
        if (response.statusCode !== 200) return fail(`status ${response.statusCode}`);
        const parts: Buffer[] = [];
        let bytes = 0;
        response.on('data', (part: Buffer) => {
          bytes += part.length;
          if (bytes > ISSUER_ANSWER_BYTES_MAX) fail(`more than ${ISSUER_ANSWER_BYTES_MAX} bytes`);
          else parts.push(part);
        });
        response.on('error', reject);
        response.on('end', () => resolve(Buffer.concat(parts)));
      });
      outgoing.on('error', reject);
      outgoing.on('upgrade', (_response, socket) => {
        socket.destroy();
        reject(new Error(`${url}: the answer is another protocol`));
      });
      outgoing.end();
    });
}
