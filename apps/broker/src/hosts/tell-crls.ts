import { type HostName, PAYLOAD_TYPES } from '@carnet/events';
import { crlSubject } from '@carnet/hypervisor';
import type { TrustStore } from '@carnet/pki';
import type { Log } from '@carnet/runtime';
import { type Signer, signEnvelope } from '@carnet/trust';
import type { NatsConnection } from 'nats';

/** A list in one envelope, in bytes: some 1,300 revoked certificates. A CSP with more brings lists to its hosts as files. */
export const CRL_TOLD_BYTES_MAX = 48_000;

export interface CrlTeller {
  readonly tell: (host: HostName) => void;
}

/**
 * Tells hosts the revocation lists that lie here: on each hello, so that none is without them for longer than ten seconds. Hosts
 * keep the higher number, so that saying it again does nothing.
 */
export function crlTeller(bus: Pick<NatsConnection, 'publish'>, trust: () => TrustStore, signer: Signer, log: Log): CrlTeller {
  let signedOf: TrustStore['crls'] | undefined;
  let signedBy = '';
  let signed: readonly Uint8Array[] = [];
  const messages = (): readonly Uint8Array[] => {
    const { crls } = trust();
    if (crls === signedOf && signer.keyid === signedBy) return signed;
    const small = crls.filter((der) => der.length <= CRL_TOLD_BYTES_MAX);
    if (small.length < crls.length)
      log.warn(
        { code: 'CRL_TOO_LARGE', lists: crls.length - small.length },
        'hosts are not told: bring these lists to them as files',
      );
    signed = small.map((der) => signEnvelope(PAYLOAD_TYPES.crl, der, signer));
    signedOf = crls;
    signedBy = signer.keyid;
    return signed;
  };
  return {
    tell: (host) => {
      for (const message of messages()) bus.publish(crlSubject(host), message);
    },
  };
}
