import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { type Digest, digest } from '@carnet/events';

/** X.509 for tests of the carrier: P-256, made in a millisecond, valid for decades. The real PKI is another lib's. */
const tlv = (tag: number, ...content: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(content);
  const length =
    body.length < 128 ? [body.length] : body.length < 256 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const SEQUENCE = 0x30;
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'));
const ecdsaSha256 = tlv(SEQUENCE, oid('2a8648ce3d040302'));
const commonName = (name: string): Buffer => tlv(SEQUENCE, tlv(0x31, tlv(SEQUENCE, oid('550403'), tlv(0x0c, Buffer.from(name)))));
const extension = (id: string, value: Buffer): Buffer => tlv(SEQUENCE, oid(id), tlv(0x04, value));
const AUTHORITY = extension('551d13', tlv(SEQUENCE, tlv(0x01, Buffer.of(0xff))));
const named = (dns: string): Buffer => extension('551d11', tlv(SEQUENCE, tlv(0x82, Buffer.from(dns))));
const VALIDITY = tlv(SEQUENCE, tlv(0x17, Buffer.from('200101000000Z')), tlv(0x17, Buffer.from('491231235959Z')));

interface Issuer {
  readonly name: string;
  readonly key: KeyObject;
}

function issue(subject: string, publicKey: KeyObject, issuer: Issuer, extra: Buffer): string {
  const serial = tlv(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)]));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const tbs = tlv(
    SEQUENCE,
    tlv(0xa0, tlv(0x02, Buffer.of(2))),
    serial,
    ecdsaSha256,
    commonName(issuer.name),
    VALIDITY,
    commonName(subject),
    spki,
    tlv(0xa3, tlv(SEQUENCE, extra)),
  );
  const der = tlv(SEQUENCE, tbs, ecdsaSha256, tlv(0x03, Buffer.of(0), sign('sha256', tbs, issuer.key)));
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
}

export interface TestIdentity {
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
  readonly leaf: Digest;
  readonly name: string;
}

/** A root and a maker of leaves below it. */
export function testAuthority(): (name: string) => TestIdentity {
  const root = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = { name: 'test root', key: root.privateKey };
  const ca = issue(issuer.name, root.publicKey, issuer, AUTHORITY);
  return (name) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const cert = issue(name, publicKey, issuer, named(name));
    const leaf = digest.parse(createHash('sha256').update(new X509Certificate(cert).raw).digest('hex'));
    return { tls: { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert, ca }, leaf, name };
  };
}
