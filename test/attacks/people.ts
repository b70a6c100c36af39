import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { spiffeId } from '@carnet/events';
import { issueLeaf, privateKeyPem, rememberedRsaKeys } from '@carnet/pki';
import type { BrokerClient } from '@carnet/publisher';
import type { CspPlan } from '../../infra/dev/src/clouds/layout.ts';
import { type Cloud, clientOf } from '../faults/harness/cloud.ts';
import type { Clouds } from '../faults/harness/clouds.ts';

/** Anna has two names, by one of which she asks; Bob has one. All of them, and one API key, are operators of the project. */
export const PEOPLE = ['operator/anna', 'duty/anna', 'operator/bob'] as const;
/** VMs with this label are counted: A sends two at once, B takes one. */
export const COUNTED = 'counted';

const uid = (type: string, id: string) => ({ type, id });

/** What the set of each cloud says of people and quotas, beside what it says anyway. */
export function withPeople(text: string, { domain, key }: CspPlan): string {
  if (text.includes('@id("quota")'))
    return `${text}
@id("counted") @reason("QUOTA_EXCEEDED")
forbid (principal, action in [Action::"send", Action::"receive"], resource)
when { resource.labels.contains("${COUNTED}") && context.open.migrations >= ${key === 'a' ? 2 : 1} };\n`;
  const parsed: unknown = text.startsWith('[') ? JSON.parse(text) : undefined;
  if (!Array.isArray(parsed)) return text;
  const parents = [uid('Role', 'operator'), uid('Project', `${domain}/default`)];
  const names = [...PEOPLE.map((name) => `spiffe://${domain}/${name}`), 'api-key/boss'];
  return JSON.stringify([...parsed, ...names.map((name) => ({ uid: uid('User', name), parents }))]);
}

/** A person's way in, with a certificate of that very name. */
export async function personAt(
  { federation }: Clouds,
  { plan, paths, facts }: Cloud,
  name: (typeof PEOPLE)[number],
): Promise<BrokerClient> {
  const authority = federation.members.get(plan.domain)?.authority;
  if (authority === undefined) throw new Error('no authority');
  const keys = await rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`))();
  const leaf = issueLeaf(authority, {
    notBeforeMs: Date.now() - 60_000,
    notAfterMs: Date.now() + 86_400_000,
    profile: 'operator',
    spiffeId: spiffeId.parse(`spiffe://${plan.domain}/${name}`),
    dnsNames: [],
    publicKey: keys.publicKey,
    random: randomBytes,
  });
  const file = name.replace('/', '-');
  writeFileSync(join(paths.pki, `${file}.pem`), leaf.pem);
  writeFileSync(join(paths.pki, `${file}.key`), privateKeyPem(keys.privateKey), { mode: 0o600 });
  return clientOf(paths, plan, facts.ports.http, file);
}
