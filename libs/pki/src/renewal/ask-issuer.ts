import { request } from 'node:https';
import { spiffeId, type TrustDomain } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import type { PkiCode } from '../codes.ts';
import { CERTS_ONLY_BYTES_MAX, ISSUER_ANSWER_MS_MAX } from '../limits.ts';
import { clientTlsOptions, type TlsMaterial } from '../tls.ts';
import { readCertsOnly } from './certs-only.ts';

/** Has a request signed under the leaf of now. The answer is hostile: certificates in any order. */
export type AskIssuer = (request: Uint8Array) => Promise<Checked<readonly Uint8Array[], PkiCode>>;

/** Where RFC 7030 has its operations. */
export const EST_PATH = '/.well-known/est/simplereenroll';

/** The issuing authority's own identity: no other holder of a certificate of the domain can pretend to be it. */
export const issuingServiceId = (domain: TrustDomain) => spiffeId.parse(`spiffe://${domain}/server/issuer`);

/**
 * `simplereenroll` of EST (RFC 7030, section 4.2.2): the TLS client certificate is the leaf that is to be renewed.
 *
 * @param url `https://host:port`
 */
export function estIssuer(url: string, domain: TrustDomain, material: TlsMaterial): AskIssuer {
  return async (csr) => {
    const body = Buffer.from(csr).toString('base64');
    try {
      const answer = await post(new URL(EST_PATH, url), body, domain, material);
      if (answer.status !== 200)
        return refuse('RENEWAL_REFUSED', 'expected a certificate', { got: printable(`${answer.status} ${answer.text}`) });
      return readCertsOnly(Uint8Array.from(Buffer.from(answer.text, 'base64')));
    } catch (cause) {
      return refuse('ISSUER_UNREACHABLE', 'expected an answer of the issuing authority', {
        got: printable(cause instanceof Error ? cause.message : String(cause)),
      });
    }
  };
}

const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 200);

function post(url: URL, body: string, domain: TrustDomain, material: TlsMaterial) {
  const answered = Promise.withResolvers<{ readonly status: number; readonly text: string }>();
  const headers = { 'content-type': 'application/pkcs10', 'content-transfer-encoding': 'base64', 'content-length': body.length };
  const asked = request(url, {
    ...clientTlsOptions(material, { trustDomain: domain, spiffeId: issuingServiceId(domain) }),
    method: 'POST',
    headers,
    // A connection of its own: under the leaf of now, and judged now.
    agent: false,
    signal: AbortSignal.timeout(ISSUER_ANSWER_MS_MAX),
  });
  asked.once('error', answered.reject);
  asked.once('response', (response) => {
    let text = '';
    response.setEncoding('latin1');
    response.on('data', (more: string) => {
      text += more;
      if (text.length > 2 * CERTS_ONLY_BYTES_MAX) response.destroy(new Error('the answer is too long'));
    });
    response.once('error', answered.reject);
    response.once('end', () => answered.resolve({ status: response.statusCode ?? 0, text }));
  });
  asked.end(body);
  return answered.promise;
}

/** An authority in this very process: how an issuing service renews its own leaf. */
export const localIssuer =
  (sign: (request: Uint8Array) => Checked<readonly Uint8Array[], PkiCode>): AskIssuer =>
  async (csr) => {
    const signed = sign(csr);
    return signed.ok ? accept(signed.value) : signed;
  };
