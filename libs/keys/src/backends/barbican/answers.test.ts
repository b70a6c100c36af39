import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import { trustDomain } from '@carnet/events';
import { afterEach, describe, expect, it } from 'vitest';
import { secretId } from '../../vault/hierarchy.ts';
import { barbicanClient } from './client.ts';
import { issueToken } from './keystone.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** What stands where Barbican or Keystone should, on loopback. */
async function standIn(listener: RequestListener): Promise<string> {
  const made = createServer(listener);
  server = made;
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  const address = made.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return `http://127.0.0.1:${address.port}`;
}

const answering = (status: number, type: string, body: string | Buffer) =>
  standIn((_request, response) => void response.writeHead(status, { 'content-type': type }).end(body));
const clientAt = (url: string) =>
  barbicanClient({ url, holder: trustDomain.parse('csp-b.example'), readers: [], project: 'p' }, undefined);
const secret = secretId.parse(randomUUID());
const HTML = '<html><body>Sign in, please. secret=hunter2</body></html>';

describe('answers of a Barbican, or of what stands in its place', () => {
  it.each([
    [401, 'BARBICAN_UNAUTHORIZED'],
    [403, 'BARBICAN_FORBIDDEN'],
    [404, 'BARBICAN_SECRET_MISSING'],
    [409, 'BARBICAN_CONFLICT'],
    [413, 'BARBICAN_TOO_LARGE'],
    [400, 'BARBICAN_REFUSED'],
    [429, 'BARBICAN_UNAVAILABLE'],
    [500, 'BARBICAN_UNAVAILABLE'],
    [502, 'BARBICAN_UNAVAILABLE'],
    [302, 'BARBICAN_ANSWER_INVALID'],
    [200, 'BARBICAN_ANSWER_INVALID'],
  ])('HTML with status %i is %s, without its text', async (status, code) => {
    const refused = await clientAt(await answering(status, 'text/html', HTML)).payload(secret);
    expect(refused).toEqual({ ok: false, code });
    server?.close();
    expect(await clientAt(await answering(status, 'text/html', HTML)).find('x')).toEqual({ ok: false, code });
  });

  it('a full quota is told apart from a missing right', async () => {
    const body = JSON.stringify({
      code: 403,
      title: 'Forbidden',
      description: 'Creation not allowed because a quota has been reached.',
    });
    expect(await clientAt(await answering(403, 'application/json', body)).create('x')).toMatchObject({ code: 'BARBICAN_QUOTA' });
  });

  it.each([
    ['no JSON', '{'],
    ['another shape', '{"secret_ref": 1}'],
    ['a reference without id', '{"secret_ref": "http://elsewhere.example/v1/secrets/../../etc"}'],
  ])('%s is no answer', async (_name, body) => {
    const client = clientAt(await answering(201, 'application/json', body));
    expect(await client.create('x')).toMatchObject({ code: 'BARBICAN_ANSWER_INVALID' });
  });

  it('a reference to another host yields its id only', async () => {
    const body = JSON.stringify({ secret_ref: `http://elsewhere.example/v1/secrets/${secret}` });
    expect(await clientAt(await answering(201, 'application/json', body)).create('x')).toEqual({ ok: true, value: secret });
  });

  it('an answer without end is cut off', async () => {
    const url = await standIn((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      const pour = (): void => {
        while (response.write(Buffer.alloc(65_536))) if (response.destroyed) return;
        if (!response.destroyed) response.once('drain', pour);
      };
      pour();
    });
    expect(await clientAt(url).payload(secret)).toMatchObject({ code: 'BARBICAN_UNAVAILABLE' });
  });

  it('an answer of another protocol is an accident', async () => {
    const url = await standIn(
      (_request, response) => void response.writeHead(101, { connection: 'upgrade', upgrade: 'other' }).end(),
    );
    expect(await clientAt(url).payload(secret)).toMatchObject({ code: 'BARBICAN_UNAVAILABLE' });
  });

  it('a closed port and a cut connection are accidents', async () => {
    expect(await clientAt('http://127.0.0.1:1').payload(secret)).toMatchObject({ code: 'BARBICAN_UNAVAILABLE' });
    const url = await standIn((request) => request.socket.destroy());
    expect(await clientAt(url).payload(secret)).toMatchObject({ code: 'BARBICAN_UNAVAILABLE' });
  });
});

describe('answers of a Keystone', () => {
  const login = (url: string) => issueToken({ url, id: 'i' }, Buffer.from('a secret of a test'));
  it.each([
    [401, 'KEYSTONE_REFUSED'],
    [404, 'KEYSTONE_REFUSED'],
    [503, 'KEYSTONE_UNAVAILABLE'],
    [200, 'KEYSTONE_ANSWER_INVALID'],
    [201, 'KEYSTONE_ANSWER_INVALID'],
  ])('HTML with status %i is %s', async (status, code) => {
    expect(await login(await answering(status, 'text/html', HTML))).toEqual({ ok: false, code });
  });
});
