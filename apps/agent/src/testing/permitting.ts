import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DsseEnvelope, dsseEnvelope, PAYLOAD_TYPES, type TrustDomain } from '@carnet/events';
import { grantedEpoch, type HostAgent, hostCommand, isVmCommand } from '@carnet/hypervisor';
import { leafSigner, readPem } from '@carnet/pki';
import { type Signer, signEnvelope } from '@carnet/trust';
import { systemClock } from '../clock.ts';

/** The broker's own leaf of `createPki`. */
export function brokerSigner(pkiDir: string, domain: TrustDomain): Signer {
  const pem = (name: string): string => readFileSync(join(pkiDir, domain, name), 'utf8');
  const [leaf = new Uint8Array()] = readPem(pem('broker.pem'), 'CERTIFICATE');
  return leafSigner(pem('broker.key'), leaf);
}

export const permitBy = (
  signer: Signer,
  said: { readonly host: string; readonly vm: string; readonly epoch: number },
  time = systemClock.now(),
) => enveloped({ ...said, time }, signer);

const enveloped = (said: object, signer: Signer): DsseEnvelope =>
  dsseEnvelope.parse(
    JSON.parse(Buffer.from(signEnvelope(PAYLOAD_TYPES.runPermit, Buffer.from(JSON.stringify(said)), signer)).toString('utf8')),
  );

/** The same agent, asked by a broker that signs a permit wherever a broker does (`signCommand`). */
export const permitting = (agent: HostAgent, signer: Signer): HostAgent => ({
  ...agent,
  handle: (command, digest) => {
    const epoch = grantedEpoch(command);
    if (epoch === undefined || !isVmCommand(command)) return agent.handle(command, digest);
    const permit = permitBy(signer, { host: command.host, vm: command.vm, epoch });
    return agent.handle(hostCommand.parse({ permit, ...command }), digest);
  },
});
