import type { HostName, KeyId, TrustDomain, VmId } from '@carnet/events';

/**
 * What a secret sealed for a host is bound to: one key of one VM on one host. A blob that is replayed to another host, or for
 * another VM, does not open. Each field is free of newlines by its schema, so the encoding is injective.
 */
export const hostSecretContext = (to: {
  readonly domain: TrustDomain;
  readonly host: HostName;
  readonly vm: VmId;
  readonly key: KeyId;
}): Uint8Array => Buffer.from(['carnet/host-secret/v1', to.domain, to.host, to.vm, to.key].join('\n'));
