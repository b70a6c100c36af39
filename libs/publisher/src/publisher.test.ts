import { createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { intentRequest, PAYLOAD_TYPES } from '@carnet/events';
import { leafSigner, rsaPssVerifier } from '@carnet/pki';
import { openEnvelope } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectBroker } from './client.ts';
import { createPublisher, type PublisherOptions, type Wish } from './publisher.ts';
import { moveAway } from './testing/example.ts';
import { answer, openStandIn, type StandIn } from './testing/stand-in.ts';

const NOW_MS = Date.now();
const random = (n: number): Uint8Array => new Uint8Array(n).fill(7);
const wish: Wish = { vm: 'csp-a.example/11111111-1111-4111-8111-111111111111', target: 'csp-b.example', mode: 'cold' };
const id = '01936ad4-0000-7000-8000-000000000001';
const digest = 'ab'.repeat(32);

let broker: StandIn;
beforeAll(async () => {
  broker = await openStandIn(NOW_MS);
}, 60_000);
afterAll(() => broker.close());

const publisher = (more: Partial<PublisherOptions> = {}) =>
  createPublisher({
    broker: connectBroker(broker.address, { patience: { firstRetryMs: 1 } }),
    nowMs: () => NOW_MS,
    random,
    ...more,
  });

/** A broker as brokers are: the same id with the same content is the same request. */
function takeIntents(): void {
  const taken = new Map<string, string>();
  broker.script(({ body }, response) => {
    const { data } = JSON.parse(body) as { readonly data: { readonly migration: string } };
    const before = taken.get(data.migration);
    taken.set(data.migration, JSON.stringify(data));
    if (before !== undefined && before !== JSON.stringify(data))
      return answer(response, 409, { code: 'MIGRATION_ID_TAKEN', text: 'other content' });
    return answer(response, 200, { migration: data.migration, digest, repeated: before !== undefined });
  });
}

describe('intend', () => {
  it('posts a CloudEvent and answers the id and the digest', async () => {
    takeIntents();
    expect(await publisher().intend({ ...wish, id })).toEqual({ ok: true, value: { id, digest, repeated: false } });
    const { body, headers, path } = broker.seen[0] ?? { body: '{}', headers: {}, path: '' };
    expect(path).toBe('/v1/intents');
    expect(headers['content-type']).toBe('application/cloudevents+json');
    expect(JSON.parse(body)).toEqual({
      specversion: '1.0',
      id,
      source: 'carnet-publisher',
      datacontenttype: 'application/json',
      type: 'dev.carnet.migration.intent.v1',
      data: { migration: id, vm: wish.vm, target: wish.target, mode: 'cold' },
    });
  });

  it('is the same wish when it is repeated, and not another one', async () => {
    takeIntents();
    await publisher().intend({ ...wish, id });
    expect(await publisher().intend({ ...wish, id })).toMatchObject({ ok: true, value: { repeated: true } });
    expect(await publisher().intend({ ...wish, id, mode: 'suspend' })).toMatchObject({ ok: false, code: 'MIGRATION_ID_TAKEN' });
  });

  it('sends one id however often it has to try', async () => {
    broker.script(({ body }, response) =>
      broker.seen.length < 3
        ? response.destroy()
        : answer(response, 200, { migration: JSON.parse(body).id, digest, repeated: true }),
    );
    expect(await publisher().intend(wish)).toMatchObject({ ok: true, value: { repeated: true } });
    expect(new Set(broker.seen.map(({ body }) => body)).size).toBe(1);
  });

  it('sends nothing that is not well formed', async () => {
    takeIntents();
    expect(await publisher().intend({ ...wish, vm: 'one' })).toMatchObject({ ok: false, code: 'PARAMETER_INVALID' });
    expect(broker.seen).toEqual([]);
  });

  it('a plan is the same wish, unsigned, to another path', async () => {
    broker.script((_, response) => answer(response, 200, { epoch: 1 }));
    expect(await publisher().plan({ ...wish, id })).toEqual({ ok: true, value: { epoch: 1 } });
    expect(broker.seen[0]).toMatchObject({
      path: '/v1/plans',
      body: expect.stringContaining('"dev.carnet.migration.intent.v1"'),
    });
  });

  it("signed carries the scheduler's own proof", async () => {
    broker.script((_, response) => answer(response, 200, { migration: id, digest, repeated: false }));
    const [der = new Uint8Array()] = [new Uint8Array(new X509Certificate(broker.leaf.pem).raw)];
    const identity = { signer: leafSigner(broker.keyPem, der), certificate: Buffer.from(der).toString('base64') };
    await publisher({ identity }).intend({ ...wish, id });
    const said = JSON.parse(broker.seen[0]?.body ?? '{}') as {
      readonly type: string;
      readonly data: { readonly envelope: object; readonly certificate: string };
    };
    expect(said).toMatchObject({ type: 'dev.carnet.migration.signed-intent.v1', data: { certificate: identity.certificate } });
    const verifier = rsaPssVerifier(createPublicKey(broker.leaf.pem));
    const opened = openEnvelope(Buffer.from(JSON.stringify(said.data.envelope)), PAYLOAD_TYPES.request, () => verifier);
    if (!opened.ok) throw new Error(opened.text);
    expect(intentRequest.parse(JSON.parse(Buffer.from(opened.value.payload).toString()))).toMatchObject({
      migration: id,
      vm: wish.vm,
    });
  });
});

describe('the example of the README', () => {
  it('is the code that runs here', () => {
    const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8');
    const [, example] = /```ts\n([\s\S]*?)```/.exec(read('../README.md')) ?? [];
    expect(example).toBe(read('testing/example.ts'));
  });

  it('asks and sees how it ended', async () => {
    broker.script(({ path, body }, response) =>
      path === '/v1/intents'
        ? answer(response, 200, { migration: JSON.parse(body).id, digest, repeated: false })
        : answer(response, 200, { outcome: 'open' }),
    );
    const { url, serverName, ca } = broker.address;
    const files = { url, serverName, ca: Buffer.from(ca), token: 'a-token-of-the-scheduler' };
    expect(await moveAway(files, wish, random, () => NOW_MS)).toBe('open');
    expect(await moveAway(files, { ...wish, target: 'nonsense' }, random, () => NOW_MS)).toBe('refused: PARAMETER_INVALID');
  });
});
