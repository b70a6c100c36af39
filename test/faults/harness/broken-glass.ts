import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BreakGlassStatement, PAYLOAD_TYPES, vmSpec } from '@carnet/events';
import { leafSigner, readPem } from '@carnet/pki';
import { imageOf } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import { type Signer, signEnvelope } from '@carnet/trust';
import { withPeople } from '../../attacks/people.ts';
import type { Cloud } from './cloud.ts';
import { type Clouds, startClouds } from './clouds.ts';
import { must } from './moves.ts';

/** Clouds whose people are known to the policy, and whose migrations soon are over their deadline. */
export const startBreakable = (deadlineSeconds: number): Promise<Clouds> =>
  startClouds({
    policy: withPeople,
    broker: (text) => text.replace(/deadlineSeconds = \d+/, `deadlineSeconds = ${deadlineSeconds}`),
  });

/** A migration as its source and its target show it. */
export type Row = {
  readonly vm: string;
  readonly epoch: number;
  readonly target: string;
  readonly phase: string;
  readonly targetPhase: string;
};
export const rowOf = async (at: Cloud, migration: string) => must(await at.api.get<Row>(`/v1/migrations/${migration}`));

const signedBy = (signer: Signer, payloadType: string, said: object): unknown =>
  JSON.parse(Buffer.from(signEnvelope(payloadType, Buffer.from(JSON.stringify(said)), signer)).toString('utf8'));

/** Without it a VM that has an owner goes nowhere. */
export async function consentTo({ a, b }: Clouds, vm: string, owner: Signer): Promise<unknown> {
  const { items } = must(
    await a.api.get<{ readonly items: readonly { readonly vm: string; readonly spec: unknown }[] }>('/v1/vms'),
  );
  const spec = vmSpec.parse(items.find((one) => one.vm === vm)?.spec);
  const [notBefore, notAfter] = [-60_000, 3_600_000].map((ms) => new Date(Date.now() + ms).toISOString());
  const of = { vm, image: imageOf(spec, policyCrypto.hash), source: a.plan.domain, target: b.plan.domain, modes: ['cold'] };
  return signedBy(owner, PAYLOAD_TYPES.consent, { consents: 'migration', serial: '1', ...of, notBefore, notAfter });
}

/** The quorum’s words about a release of A’s: two persons that `personAt` has made, and the owner. */
export async function wordsAbout({ a }: Clouds, migration: string, owner: Signer) {
  const { vm, epoch, target } = await rowOf(a, migration);
  type Entries = { readonly items: readonly { readonly type: string; readonly digest: string }[] };
  const { items } = must(await a.api.get<Entries>(`/v1/events?migration=${migration}`));
  const release = items.find(({ type }) => type === 'KeyReleased')?.digest;
  const envelope = (says: BreakGlassStatement['says'], signer: Signer): unknown => {
    const [at, notAfter] = [new Date(), new Date(Date.now() + 3_600_000)].map((date) => date.toISOString());
    const said = { says, migration, vm, epoch, target, release, reason: 'its data centre burnt down', at, notAfter };
    return signedBy(signer, PAYLOAD_TYPES.breakGlass, said);
  };
  const person = (name: string) => {
    const file = (ending: string): string => readFileSync(join(a.paths.pki, `operator-${name}.${ending}`), 'utf8');
    const leaf = readPem(file('pem'), 'CERTIFICATE')[0];
    if (leaf === undefined) throw new Error('no leaf');
    return {
      principal: `spiffe://${a.plan.domain}/operator/${name}`,
      envelope: envelope('resume-at-source', leafSigner(file('key'), leaf)),
      certificate: Buffer.from(leaf).toString('base64'),
    };
  };
  return { persons: [person('anna'), person('bob')], owner: envelope('target-is-fenced', owner) };
}
