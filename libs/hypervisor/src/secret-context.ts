import { type HostName, type KeyId, type TrustDomain, type VmId, vmId } from '@carnet/events';

/**
 * What a sealed secret is bound to, so that a blob replayed to another host, for another VM, attempt or end does not open.
 * `epoch`: the migration's; 0 in a VM's life outside migrations. `purpose` follows from the step and the field:
 * `seal` and `unseal` are memory keys (quiesce; start, resume), `trial-unlock` and
 * `rekey` (`reencrypt`, too) are those steps', `run` all others.
 */
export type SecretContext = {
  readonly domain: TrustDomain;
  readonly host: HostName;
  readonly vm: VmId;
  readonly epoch: number;
  readonly purpose: SecretPurpose;
};

export type SecretPurpose = 'run' | 'trial-unlock' | 'rekey' | 'seal' | 'unseal';

/** Images have no VM: their secrets are bound to `<own domain>/<key id>` in its place, epoch 0, purpose `run`. */
export const imageContext = (domain: TrustDomain, key: KeyId): VmId => vmId.parse(`${domain}/${key}`);
