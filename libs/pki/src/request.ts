import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { SpiffeId } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import forge from 'node-forge';
import { CertificationRequest, Extensions } from 'pkijs';
import { nameOf } from './build-certificate.ts';
import { hex, isSignedBy, isStrongAlgorithm, isStrongKey, type SignedPart, signatureOctets } from './certificate.ts';
import { subjectNames } from './extension-fields.ts';
import { Malformed, readExtensions } from './extensions.ts';
import { CSR_BYTES_MAX } from './limits.ts';
import type { SubjectName } from './names.ts';
import { OID } from './oids.ts';
import { readPem } from './pem.ts';
import type { RsaKeyPair } from './rsa-keys.ts';

// node-forge exports it and its published types leave it out.
declare module 'node-forge' {
  namespace pki {
    function getCertificationRequestInfo(request: CertificateSigningRequest): asn1.Asn1;
  }
}

/** What a request asks to be called. An issuing authority asks for no alternative names. */
export type RequestedNames = {
  readonly commonName: string;
  readonly spiffeId?: SpiffeId;
  readonly dnsNames?: readonly string[];
};

/**
 * A PKCS #10 request (RFC 2986), in DER. As with certificates node-forge lays it out and node:crypto signs it, so that the private
 * key never enters forge. The signature is the proof of possession.
 */
export function createRequest(keys: RsaKeyPair, { commonName, spiffeId, dnsNames = [] }: RequestedNames): Uint8Array {
  const request = forge.pki.createCertificationRequest();
  request.publicKey = forge.pki.publicKeyFromPem(keys.publicKey.export({ format: 'pem', type: 'spki' }).toString());
  request.setSubject(nameOf(commonName));
  if (spiffeId !== undefined)
    request.setAttributes([{ name: 'extensionRequest', extensions: [subjectNames(spiffeId, dnsNames)] }]);
  request.signatureOid = OID.sha256WithRsa;
  request.siginfo.algorithmOid = OID.sha256WithRsa;
  request.certificationRequestInfo = forge.pki.getCertificationRequestInfo(request);
  const signed = forge.asn1.toDer(request.certificationRequestInfo).getBytes();
  request.signature = sign('sha256', Buffer.from(signed, 'binary'), keys.privateKey).toString('binary');
  return Uint8Array.from(Buffer.from(forge.asn1.toDer(forge.pki.certificationRequestToAsn1(request)).getBytes(), 'binary'));
}

/** A request whose sender holds the private key. Nothing else in it is more than a wish. */
export type CertificateRequest = {
  readonly publicKey: KeyObject;
  /** DER of the requested subject, in hexadecimal. */
  readonly subject: string;
  readonly names: readonly SubjectName[];
};

type RequestCode = 'CSR_MALFORMED' | 'CSR_SIGNATURE_INVALID' | 'KEY_WEAK' | 'ALGORITHM_WEAK';

/**
 * Reads a hostile request: form, key, proof of possession. Of the extensions that it asks for only the names are read, to be compared
 * with what its sender may be called; the others (a CA flag, usages, constraints) are looked at by nobody and never copied.
 */
export function readRequest(der: Uint8Array): Checked<CertificateRequest, RequestCode> {
  const parsed = parseChecked(der);
  if (!parsed.ok) return parsed;
  const { signed, ...request } = parsed.value;
  if (!isStrongKey(request)) {
    return refuse('KEY_WEAK', 'expected RSA of at least 3072 bits', { got: request.publicKey.asymmetricKeyType ?? 'unknown' });
  }
  if (!isStrongAlgorithm(signed))
    return refuse('ALGORITHM_WEAK', 'expected RSA with SHA-256 or better', { got: signed.signatureAlgorithm });
  // Threat: somebody has another's public key certified under his own name, and claims what that other signs.
  if (!isSignedBy(signed, request.publicKey))
    return refuse('CSR_SIGNATURE_INVALID', 'expected a request signed by the key that it names');
  return accept(request);
}

/** As `readRequest`, from PEM (RFC 7468). */
export function readRequestPem(text: string): Checked<CertificateRequest, RequestCode> {
  const [der, more] = /-----BEGIN CERTIFICATE REQUEST-----/.test(text) ? readPem(text, 'CERTIFICATE REQUEST') : [];
  if (der === undefined || more !== undefined) return refuse('CSR_MALFORMED', 'expected one PEM block CERTIFICATE REQUEST');
  return readRequest(der);
}

type Parsed = CertificateRequest & { readonly signed: SignedPart };

function parseChecked(der: Uint8Array): Checked<Parsed, 'CSR_MALFORMED'> {
  if (der.length > CSR_BYTES_MAX)
    return refuse('CSR_MALFORMED', `expected a request of at most ${CSR_BYTES_MAX} bytes`, { got: String(der.length) });
  try {
    return accept(parse(der));
  } catch (error) {
    const why = error instanceof Malformed ? error.message : 'it cannot be parsed';
    return refuse('CSR_MALFORMED', `expected a PKCS #10 request in DER: ${why}`);
  }
}

function parse(der: Uint8Array): Parsed {
  const asn1 = CertificationRequest.fromBER(der);
  if (hex(asn1.toSchema().toBER()) !== hex(der)) throw new Malformed('not DER');
  const spki = Buffer.from(asn1.subjectPublicKeyInfo.toSchema().toBER());
  return {
    publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }),
    subject: hex(asn1.subject.valueBeforeDecode),
    names: requestedNames(asn1),
    signed: {
      tbs: asn1.tbsView,
      signatureAlgorithm: asn1.signatureAlgorithm.algorithmId,
      signature: signatureOctets(asn1.signatureValue),
    },
  };
}

/** Attribute extensionRequest (RFC 2985, section 5.4.2), at most once. */
function requestedNames({ attributes = [] }: CertificationRequest): readonly SubjectName[] {
  const [wish, ...more] = attributes.filter(({ type }) => type === OID.extensionRequest);
  if (wish === undefined) return [];
  const [value, ...others] = wish.values;
  if (more.length > 0 || others.length > 0 || value === undefined) throw new Malformed('two lists of extensions');
  return readExtensions(new Extensions({ schema: value }).extensions).names;
}
