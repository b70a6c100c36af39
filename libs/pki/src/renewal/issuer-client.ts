import type { TrustDomain } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import type { PkiCode } from '../codes.ts';
import type { RevocationWish } from '../issuing/revoke.ts';
import { CRL_BYTES_MAX, ISSUER_ANSWER_MS_MAX } from '../limits.ts';
import { clientTlsOptions, type TlsMaterial } from '../tls.ts';
import { exchangeOverTls } from '../tls-exchange.ts';
import { CRL_PATH, issuingServiceId, REVOKE_PATH } from './issuer-paths.ts';

/** The issuing service of one's own CSP, as the holder of a leaf meets it: TLS 1.3, both certificates judged, that one identity. */
export type IssuerAddress = { readonly url: string; readonly domain: TrustDomain; readonly material: TlsMaterial };

export type IssuerQuestion = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** The body of a 200, unchecked. */
export async function askIssuingService(
  { url, domain, material }: IssuerAddress,
  question: IssuerQuestion,
): Promise<Checked<Uint8Array, PkiCode>> {
  try {
    const tls = clientTlsOptions(material, { trustDomain: domain, spiffeId: issuingServiceId(domain) });
    const limits = { timeoutMs: ISSUER_ANSWER_MS_MAX, bytesMax: CRL_BYTES_MAX };
    const { status, body } = await exchangeOverTls(tls, new URL(question.path, url), { ...question, ...limits });
    if (status === 200) return accept(body);
    const said = Buffer.from(body.subarray(0, 400)).toString('latin1');
    return refuse('ISSUER_REFUSED', 'expected the issuing authority to do it', { got: printable(`${status} ${said}`) });
  } catch (cause) {
    return refuse('ISSUER_UNREACHABLE', 'expected an answer of the issuing authority', {
      got: printable(cause instanceof Error ? cause.message : String(cause)),
    });
  }
}

const printable = (text: string): string =>
  text
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 200);

/** The CSP's newest CRL, in DER and unchecked: whoever uses it judges it. */
export const fetchCrl = (address: IssuerAddress): Promise<Checked<Uint8Array, PkiCode>> =>
  askIssuingService(address, { method: 'GET', path: CRL_PATH });

/** Revokes for ever, as an operator of the CSP. @returns the CRL that says so, in DER and unchecked */
export const askRevocation = (address: IssuerAddress, of: Omit<RevocationWish, 'crlMs'>): Promise<Checked<Uint8Array, PkiCode>> =>
  askIssuingService(address, {
    method: 'POST',
    path: REVOKE_PATH,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(of),
  });
