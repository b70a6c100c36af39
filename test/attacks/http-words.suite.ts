import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { intentOf, newMigration } from '../faults/harness/moves.ts';
import { TLS_1_2 } from './old-tls.ts';
import { clouds, truthOfA } from './rig.ts';

const EVENT = 'application/cloudevents+json';
const read = (name: string): string => readFileSync(join(clouds.a.paths.pki, name), 'utf8');
const asOperator = () => ({
  host: '127.0.0.1',
  port: clouds.a.facts.ports.http,
  servername: 'broker.csp-a.example',
  ca: read('root.pem'),
  cert: read('operator.pem'),
  key: read('operator.key'),
});

/** What our own client would not send: bytes and paths as they are. */
function send(method: string, path: string, body = '', type = 'application/json'): Promise<{ readonly code: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = body === '' ? {} : { 'content-type': type };
    const sent = request({ ...asOperator(), method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}')));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const intent = (): string =>
  JSON.stringify(intentOf(`csp-a.example/${'0'.repeat(8)}-0000-4000-8000-000000000000`, 'csp-b.example', 'cold'));
const post = (body: string) => send('POST', '/v1/intents', body, EVENT);
const vm = (over: object): string => {
  const boot = { kind: 'disk' };
  return JSON.stringify({ name: 'vm-x', capacityBytes: 1_048_576, memoryMiB: 64, boot, start: false, ...over });
};
const create = (over: object) => send('POST', '/v1/vms', vm(over));
const register = (over: object) => send('POST', '/v1/images', JSON.stringify({ name: 'x', file: 'x.raw', ...over }));

describe('an operator’s own certificate, with words that are none', () => {
  it.each<readonly [string, string, () => Promise<{ readonly code: unknown }>]>([
    ['a number beyond 2^53', 'JSON_NUMBER', () => post(intent().replace('{', '{"n":9007199254740993,'))],
    ['a lone surrogate', 'JSON_SURROGATE', () => post(intent().replace('"cold"', '"cold\\udfff"'))],
    ['the same key twice', 'JSON_DUPLICATE_KEY', () => post(intent().replace('"mode"', '"mode":"suspend","mode"'))],
    ['a prototype as a key', 'JSON_PROTO', () => post(intent().replace('{', '{"__proto__":{"role":"administrator"},'))],
    ['half a document', 'JSON_SYNTAX', () => post(intent().slice(0, -1))],
    [
      'a form instead of JSON',
      'MEDIA_TYPE_UNSUPPORTED',
      () => send('POST', '/v1/intents', 'vm=x', 'application/x-www-form-urlencoded'),
    ],
    [
      'a NATS wildcard as the migration',
      'PARAMETER_INVALID',
      () => post(intent().replace(/"migration":"[^"]*"/, '"migration":">"')),
    ],
    ['a NATS wildcard as the peer', 'PARAMETER_INVALID', () => post(intent().replace('"csp-b.example"', '"*"'))],
    ['a path as a VM', 'PARAMETER_INVALID', () => send('POST', '/v1/vms/csp-a.example/..%2f..%2fetc/off')],
    ['a path as a digest', 'PARAMETER_INVALID', () => send('GET', '/v1/events/..%2f..%2fetc%2fpasswd')],
    ['a path that leaves the API', 'ROUTE_UNKNOWN', () => send('GET', '/v1/../../etc/passwd')],
    ['a path as an image’s file', 'PARAMETER_INVALID', () => register({ file: '../../etc/shadow' })],
    ['a path as an image’s name', 'PARAMETER_INVALID', () => register({ name: '../vol/x' })],
    ['XML as a VM’s name', 'PARAMETER_INVALID', () => create({ name: "x'/><filesystem/>" })],
    [
      'a path as a kernel',
      'PARAMETER_INVALID',
      () => create({ boot: { kind: 'kernel', kernel: '../vmlinuz', initrd: '', cmdline: '' } }),
    ],
    [
      'a line break for the kernel',
      'PARAMETER_INVALID',
      () => {
        const digest = '0'.repeat(64);
        return create({ boot: { kind: 'kernel', kernel: digest, initrd: digest, cmdline: 'a\nb' } });
      },
    ],
    ['memory that no host has', 'PARAMETER_INVALID', () => create({ memoryMiB: 1e15 })],
    ['more rows than are given', 'PARAMETER_INVALID', () => send('GET', '/v1/events?limit=1000000000')],
    ['SQL as a cursor’s VM', 'PARAMETER_INVALID', () => send('GET', "/v1/migrations?vm=x'%20or%20'1'='1")],
    ['a role in the query', 'PARAMETER_INVALID', () => send('GET', '/v1/keys?role=administrator')],
    ['to cancel what there is not', 'MIGRATION_UNKNOWN', () => send('POST', `/v1/migrations/${newMigration()}/cancel`, '{}')],
  ])('%s: %s', async (_name, code, ask) => {
    const before = await truthOfA();
    expect(await ask()).toMatchObject({ code });
    expect(await truthOfA()).toEqual(before);
  });

  it.each<readonly [string, ConnectionOptions]>([
    ['TLS 1.2', TLS_1_2],
    ['no certificate', { cert: undefined, key: undefined }],
  ])('over %s: no word of HTTP is exchanged', async (_name, over) => {
    const before = await truthOfA();
    const heard = await new Promise<string>((resolve) => {
      const socket = connect({ ...asOperator(), ...over }, () => socket.write('GET /v1/vms HTTP/1.1\r\nhost: x\r\n\r\n'));
      let text = '';
      socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
      socket.on('error', () => resolve(text));
      socket.on('close', () => resolve(text));
    });
    expect(heard).not.toContain('HTTP/1.1 200');
    expect(await truthOfA()).toEqual(before);
  });
});
