import { createHash, createPrivateKey } from 'node:crypto';
import { type DsseEnvelope, dsseEnvelope, PAYLOAD_TYPES } from '@carnet/events';
import { ed25519Signer, type Signer, signEnvelope } from '@carnet/trust';
import type { Glass } from './glass.ts';

/** A release without an answer, and words about it, for tests. */
export const signerOf = (word: string): Signer & { readonly publicKey: Uint8Array } => {
  const seed = createHash('sha256').update(word).digest();
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return ed25519Signer(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
};
export const OWNER = signerOf('owner');

export const GLASS: Glass = {
  migration: '01932c07-0000-7000-8000-000000000002',
  vm: 'csp-a.example/1b4e28ba-2fa1-41d2-883f-0016d3cca427',
  epoch: 1,
  release: 'ab'.repeat(32),
  source: 'csp-a.example',
  target: 'csp-b.example',
  deadline: '2026-11-23T11:00:00.000Z',
  owner: Buffer.from(OWNER.publicKey).toString('base64'),
};
export const NOW_MS = Date.parse('2026-11-23T12:00:00.000Z');

const { migration, vm, epoch, release, target } = GLASS;
export const SAID = {
  says: 'resume-at-source',
  migration,
  vm,
  epoch,
  release,
  target,
  reason: 'its data centre burnt down',
  at: '2026-11-23T11:30:00.000Z',
  notAfter: '2026-11-23T13:00:00.000Z',
};
export const FENCED = { ...SAID, says: 'target-is-fenced', reason: 'its operator told me on the phone' };

export const enveloped = (signer: Signer, said: object): DsseEnvelope =>
  dsseEnvelope.parse(
    JSON.parse(Buffer.from(signEnvelope(PAYLOAD_TYPES.breakGlass, Buffer.from(JSON.stringify(said)), signer)).toString()),
  );
export const personFile = (name: string, said: object = SAID, csp = GLASS.source): object => ({
  principal: `spiffe://${csp}/operator/${name}`,
  envelope: enveloped(signerOf(name), said),
  certificate: 'AA==',
});
