import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { ApplicationCredential, Barbican, Keystone, KeystoneUser, SoftHsmToken } from '@carnet/dev';
import type { KeyRoot } from '../backends/service.ts';
import { createTokenRoot } from '../backends/token-root.ts';
import type { BackendUnderTest } from './contract-suite.ts';
import { must } from './two-sides.ts';

/** Whoever may make secrets in one project, with an application credential whose secret lies in a file. */
export type Member = { readonly user: KeystoneUser; readonly credential: ApplicationCredential; readonly secretFile: string };

export async function member(keystone: Keystone, secretFile: string, project?: string): Promise<Member> {
  const name = randomBytes(6).toString('hex');
  const { admin } = keystone;
  const user = await admin.createUser(`user-${name}`, project ?? (await admin.createProject(`project-${name}`)), 'creator');
  const credential = await admin.createApplicationCredential(user, 'carnet');
  writeFileSync(secretFile, credential.secret, { mode: 0o600 });
  return { user, credential, secretFile };
}

export const keystoneOptions = ({ url }: Pick<Barbican, 'url'>, keystone: Keystone, { credential, secretFile }: Member) => ({
  url,
  keystone: { url: keystone.url, credential: credential.id, secret: { kind: 'file', path: secretFile } as const },
});

/** Barbican as a program that knows nothing of ours sees it. */
export async function askBarbican(
  { url }: Pick<Barbican, 'url'>,
  path: string,
  as: Readonly<Record<string, string>>,
  init: { readonly method?: string; readonly body?: string; readonly accept?: string } = {},
) {
  const response = await fetch(`${url}/v1${path}`, {
    method: init.method ?? 'GET',
    headers: {
      accept: init.accept ?? 'application/json',
      'openstack-api-version': 'key-manager 1.1',
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...as,
    },
    ...(init.body === undefined ? {} : { body: init.body }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  return { status: response.status, bytes, json: isJson ? JSON.parse(bytes.toString('utf8')) : undefined };
}

export const secretsOf = async (
  barbican: Pick<Barbican, 'url'>,
  as: Readonly<Record<string, string>>,
): Promise<readonly ListedSecret[]> => (await askBarbican(barbican, '/secrets?limit=100', as)).json.secrets;
export type ListedSecret = { readonly name: string; readonly secret_ref: string };

export const openBarbican = (barbican: Barbican, project: string): BackendUnderTest => ({
  options: { barbican: { url: barbican.url, project } },
  copiesOutside: async () => (await secretsOf(barbican, { 'x-project-id': project })).length,
});

export const inBarbican = (barbican: Barbican, keystone: Keystone, one: Member): BackendUnderTest => ({
  options: { barbican: keystoneOptions(barbican, keystone, one) },
  copiesOutside: async () => (await secretsOf(barbican, { 'x-auth-token': await keystone.admin.tokenOf(one.user) })).length,
});

export const tokenRoot = (token: SoftHsmToken, key = 'carnet-root'): Extract<KeyRoot, { readonly kind: 'pkcs11' }> => ({
  kind: 'pkcs11',
  module: token.module,
  token: token.label,
  key,
  environment: token.environment,
  pin: { kind: 'file', path: token.pinFile },
});

export async function inToken(token: SoftHsmToken): Promise<BackendUnderTest> {
  const root = tokenRoot(token);
  must(await createTokenRoot(root));
  return { options: { root }, copiesOutside: async () => 0 };
}
