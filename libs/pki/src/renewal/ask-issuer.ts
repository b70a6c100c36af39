import { accept, type Checked, refuse } from '@carnet/trust';
import type { PkiCode } from '../codes.ts';
import { readCertsOnly } from './certs-only.ts';
import { askIssuingService, type IssuerAddress } from './issuer-client.ts';
import { EST_PATH } from './issuer-paths.ts';

/** Has a request signed under the leaf of now. The answer is hostile: certificates in any order. */
export type AskIssuer = (request: Uint8Array) => Promise<Checked<readonly Uint8Array[], PkiCode>>;

/** `simplereenroll` of EST (RFC 7030, section 4.2.2): the TLS client certificate is the leaf that is to be renewed. */
export function estIssuer(address: IssuerAddress): AskIssuer {
  return async (csr) => {
    const headers = { 'content-type': 'application/pkcs10', 'content-transfer-encoding': 'base64' };
    const body = Buffer.from(csr).toString('base64');
    const answer = await askIssuingService(address, { method: 'POST', path: EST_PATH, headers, body });
    if (answer.ok) return readCertsOnly(Uint8Array.from(Buffer.from(Buffer.from(answer.value).toString('latin1'), 'base64')));
    return answer.code === 'ISSUER_REFUSED' ? refuse('RENEWAL_REFUSED', 'expected a certificate', answer) : answer;
  };
}

/** An authority in this very process: how an issuing service renews its own leaf. */
export const localIssuer =
  (sign: (request: Uint8Array) => Checked<readonly Uint8Array[], PkiCode>): AskIssuer =>
  async (csr) => {
    const signed = sign(csr);
    return signed.ok ? accept(signed.value) : signed;
  };
