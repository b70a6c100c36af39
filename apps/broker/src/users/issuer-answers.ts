import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { exchangeOverTls } from '@carnet/pki';
import { ISSUER_ANSWER_BYTES_MAX, ISSUER_ANSWER_MS_MAX } from './limits.ts';

/** Fetches a document of an identity provider: TLS 1.3, its name checked, no redirects, bounded in time and size. */
export type FetchDocument = (url: string) => Promise<Uint8Array>;

/** `caFile`: who vouches for the provider, instead of the roots that come with Node. */
export function documentsVouchedBy(caFile: string | undefined): FetchDocument {
  return async (url) => {
    // Read each time: a renewed CA takes no restart.
    const ca = caFile === undefined ? [...rootCertificates] : readFileSync(caFile, 'utf8');
    const { status, body } = await exchangeOverTls({ ca, minVersion: 'TLSv1.3' }, new URL(url), {
      method: 'GET',
      headers: { accept: 'application/json' },
      timeoutMs: ISSUER_ANSWER_MS_MAX,
      bytesMax: ISSUER_ANSWER_BYTES_MAX,
    });
    if (status !== 200) throw new Error(`${url}: status ${status}`);
    return body;
  };
}
