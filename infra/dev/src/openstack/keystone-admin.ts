import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { DevError } from '../error.ts';

/** An account of one project, as its owner would know it. */
export type KeystoneUser = { readonly id: string; readonly name: string; readonly password: string; readonly project: string };
export type ApplicationCredential = { readonly id: string; readonly secret: string };

/** What the administrator of a Keystone does for a test. */
export type KeystoneAdmin = {
  /** Answers its id. */
  readonly createProject: (name: string) => Promise<string>;
  readonly createUser: (name: string, project: string, role: string) => Promise<KeystoneUser>;
  readonly createApplicationCredential: (of: KeystoneUser, name: string) => Promise<ApplicationCredential>;
  /** From then on every token that was issued by it is refused. */
  readonly deleteApplicationCredential: (of: KeystoneUser, id: string) => Promise<void>;
  /** A project-scoped token of that user. */
  readonly tokenOf: (of: KeystoneUser) => Promise<string>;
  readonly revoke: (token: string) => Promise<void>;
  /** Clients find the service by its type in the catalogue that comes with their token. */
  readonly registerService: (type: string, url: string) => Promise<void>;
};

const ided = z.object({ id: z.string() });
const REQUEST_MS_MAX = 20_000;

export async function keystoneAdmin(url: string, password: string): Promise<KeystoneAdmin> {
  const ask = async (method: string, path: string, token: string | undefined, body?: unknown) => {
    const response = await fetch(`${url}/v3${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { 'x-auth-token': token }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
    });
    const text = await response.text();
    if (!response.ok) throw new DevError('COMMAND_FAILED', `keystone: ${method} ${path}: ${response.status} ${text}`);
    return { token: response.headers.get('x-subject-token') ?? '', body: text === '' ? {} : JSON.parse(text) };
  };
  const login = async (name: string, secret: string, project: { readonly id: string } | { readonly name: string }) => {
    const user = { name, domain: { id: 'default' }, password: secret };
    const scope = { project: 'id' in project ? project : { ...project, domain: { id: 'default' } } };
    const auth = { identity: { methods: ['password'], password: { user } }, scope };
    return (await ask('POST', '/auth/tokens', undefined, { auth })).token;
  };
  const admin = await login('admin', password, { name: 'admin' });
  const create = async (kind: string, path: string, properties: Readonly<Record<string, unknown>>): Promise<string> => {
    const made = await ask('POST', path, admin, { [kind]: properties });
    return ided.parse(made.body[kind]).id;
  };
  const roles = new Map<string, string>();
  const roleOf = async (name: string): Promise<string> => {
    const found = await ask('GET', `/roles?name=${name}`, admin);
    const [there] = z.array(ided).parse(found.body.roles);
    const id = roles.get(name) ?? there?.id ?? (await create('role', '/roles', { name }));
    roles.set(name, id);
    return id;
  };
  const tokenOf = (of: KeystoneUser): Promise<string> => login(of.name, of.password, { id: of.project });
  return {
    createProject: (name) => create('project', '/projects', { name, domain_id: 'default' }),
    createUser: async (name, project, role) => {
      const secret = randomBytes(24).toString('hex');
      const id = await create('user', '/users', { name, password: secret, domain_id: 'default' });
      await ask('PUT', `/projects/${project}/users/${id}/roles/${await roleOf(role)}`, admin);
      return { id, name, password: secret, project };
    },
    createApplicationCredential: async (of, name) => {
      const made = await ask('POST', `/users/${of.id}/application_credentials`, await tokenOf(of), {
        application_credential: { name },
      });
      return z.object({ id: z.string(), secret: z.string() }).parse(made.body.application_credential);
    },
    deleteApplicationCredential: async (of, id) => {
      await ask('DELETE', `/users/${of.id}/application_credentials/${id}`, await tokenOf(of));
    },
    tokenOf,
    registerService: async (type, at) => {
      const service_id = await create('service', '/services', { type, name: type });
      for (const kind of ['public', 'internal'])
        await create('endpoint', '/endpoints', { service_id, interface: kind, url: at, region_id: 'RegionOne' });
    },
    revoke: async (token) => {
      const response = await fetch(`${url}/v3/auth/tokens`, {
        method: 'DELETE',
        headers: { 'x-auth-token': token, 'x-subject-token': token },
        signal: AbortSignal.timeout(REQUEST_MS_MAX),
      });
      if (response.status !== 204) throw new DevError('COMMAND_FAILED', `keystone: revoking: ${response.status}`);
    },
  };
}
