import {
  type BreakGlassPerson,
  type BreakGlassStatement,
  type DsseEnvelope,
  dsseEnvelope,
  PAYLOAD_TYPES,
  type SpiffeId,
  spiffeId,
  type TrustDomain,
  type VmSpec,
  vmSpec,
} from '@carnet/events';
import type { PeerIdentity } from '@carnet/pki';
import { ed25519Signer, ed25519Verifier, type Signer, sha256Hex, signEnvelope } from '@carnet/trust';
import { imageOf } from '../../../libs/policy/src/consent.ts';
import { consentBy, consenting, ENTITIES, hash, OWNER, publicKeyOf, user } from '../../../libs/policy/src/testing.ts';
import { SPEC, VM } from '../../../libs/saga/src/testing.ts';
import { DOMAINS, keyOf } from './identities.ts';

/** The policies' file: every operator of whatever name is one. */
export const PEOPLE: readonly object[] = [
  ...ENTITIES,
  ...DOMAINS.map((domain) => user(`spiffe://${domain}/operator/*`, ['operator'])),
];

/** Who holds the certificate of a person here: it is the name itself. */
export function identifyPerson(certificate: string): PeerIdentity | undefined {
  const known = spiffeId.safeParse(Buffer.from(certificate, 'base64').toString()).data;
  const domain = DOMAINS.find((one) => known?.startsWith(`spiffe://${one}/operator/`));
  if (known === undefined || domain === undefined) return undefined;
  const signer = signerOf(known);
  return { spiffeId: known, domain, leafDigest: sha256Hex(Buffer.from(known)), verifier: signer.verifier };
}

const signers = new Map<string, Signer & { readonly verifier: PeerIdentity['verifier'] }>();
function signerOf(name: SpiffeId) {
  const { sign, publicKey } = ed25519Signer(keyOf(name));
  const signer = signers.get(name) ?? { keyid: sha256Hex(Buffer.from(name)), sign, verifier: ed25519Verifier(publicKey) };
  signers.set(name, signer);
  return signer;
}

export const nameOf = (domain: TrustDomain, person: string): SpiffeId => spiffeId.parse(`spiffe://${domain}/operator/${person}`);

const signedBy = (signer: Signer, said: BreakGlassStatement): DsseEnvelope =>
  dsseEnvelope.parse(
    JSON.parse(Buffer.from(signEnvelope(PAYLOAD_TYPES.breakGlass, Buffer.from(JSON.stringify(said)), signer)).toString()),
  );

/** `by`: whose key signs in the name of `person`. */
export function personsWord(person: SpiffeId, said: Omit<BreakGlassStatement, 'says'>, by: SpiffeId = person): BreakGlassPerson {
  const { keyid } = signerOf(person);
  return {
    principal: person,
    envelope: signedBy({ keyid, sign: signerOf(by).sign }, { ...said, says: 'resume-at-source' }),
    certificate: Buffer.from(person).toString('base64'),
  };
}

export const ownersWord = (said: Omit<BreakGlassStatement, 'says'>, by = 'owner'): DsseEnvelope =>
  signedBy(ed25519Signer(keyOf(by)), { ...said, says: 'target-is-fenced' });

/** The VM with an owner, without whom it goes nowhere and no glass is broken. */
export const OWNED: VmSpec = vmSpec.parse({
  ...SPEC,
  restrictions: { project: 'default', labels: [], level: 0, onward: true, legalHold: false, owner: publicKeyOf(OWNER) },
});

/** The owner lets its VM, as it is now, go anywhere from there. */
export const consentOf = (spec: VmSpec, { source, target }: { readonly source: TrustDomain; readonly target: TrustDomain }) =>
  consentBy(
    OWNER,
    consenting({
      vm: VM,
      image: imageOf(spec, hash),
      source,
      target,
      modes: ['cold', 'suspend'],
      notBefore: '2026-01-01T00:00:00.000Z',
      notAfter: '2028-01-01T00:00:00.000Z',
    }),
  );
