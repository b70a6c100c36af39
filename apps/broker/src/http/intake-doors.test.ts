import { type IntentRequest, intentRequest, migrationId, uuidv7, vmId } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { intend, openSignedRequest } from '../service/intake.ts';
import type { BrokerService } from '../service/service.ts';
import { SHOWN } from '../users/testing/shown.ts';
import { A, B, type Credentials, createDoorsWorld, type DoorsWorld, NOW_MS, type Reply } from './testing/doors-world.ts';
import { fakeService } from './testing/fake-service.ts';
import { memoryIntake, signedBy } from './testing/memory-intake.ts';

let world: DoorsWorld;
let ports: { readonly mtls: number; readonly token: number };
let scheduler: Credentials;
let foreigner: Credentials;

beforeAll(async () => {
  world = await createDoorsWorld();
  scheduler = await world.certificateOf(A, 'scheduler');
  foreigner = await world.certificateOf(B, 'scheduler');
  const intake = memoryIntake(world);
  const overrides: Pick<BrokerService, 'intend' | 'intendSigned'> = {
    intend: (request, record, shown) => intend(intake, request, record, shown),
    intendSigned: async (envelope, certificate) => {
      const opened = openSignedRequest(intake, envelope, certificate);
      return opened.ok ? intend(intake, opened.value.request, opened.value.record, SHOWN) : opened;
    },
  };
  ports = await world.open(fakeService(overrides).service);
}, 60_000);
afterAll(() => world.close());

const plain = (request: IntentRequest): object => ({ type: 'dev.carnet.migration.intent.v1', data: request });
const signed = (request: IntentRequest): object => ({
  type: 'dev.carnet.migration.signed-intent.v1',
  data: signedBy(scheduler, request),
});
const cloudEvent = (said: object) => ({ specversion: '1.0', id: 'any', source: 'scheduler', ...said });

type Door = (said: object) => Promise<Reply>;
const asked = (said: object) => ({
  method: 'POST',
  path: '/v1/intents',
  body: JSON.stringify(cloudEvent(said)),
  headers: { 'content-type': 'application/cloudevents+json' },
});
const byMtls: Door = (said) => world.ask(ports.mtls, scheduler, asked(said));
const byToken: Door = (said) => world.ask(ports.token, { token: world.tokenOf('scheduler') }, asked(said));

const DOORS = [
  { name: 'a certificate', intends: (request: IntentRequest) => byMtls(plain(request)) },
  { name: 'a certificate, signed', intends: (request: IntentRequest) => byMtls(signed(request)) },
  { name: 'a token', intends: (request: IntentRequest) => byToken(plain(request)) },
  { name: 'a token, signed', intends: (request: IntentRequest) => byToken(signed(request)) },
] as const;

let made = 0;
/** A fresh wish for a VM of its own; those that end in 9 are not held here. */
function wish(changed: Partial<Record<keyof IntentRequest, string>> = {}): IntentRequest {
  made += 1;
  const vm = `${A}/00000000-0000-4000-8000-${String(made).padStart(11, '0')}0`;
  return intentRequest.parse({ migration: uuidv7(NOW_MS + made, new Uint8Array(10)), vm, target: B, mode: 'cold', ...changed });
}

describe.each(DOORS)('an intent by $name', ({ intends }) => {
  it('is accepted, with the digest of its event', async () => {
    const request = wish();
    expect(await intends(request)).toEqual({
      status: 200,
      body: { migration: request.migration, digest: expect.stringMatching(/^[0-9a-f]{64}$/), repeated: false },
    });
  });

  it('repeated by any door is the same migration', async () => {
    const request = wish();
    const first = await intends(request);
    for (const other of DOORS) {
      expect(await other.intends(request), other.name).toEqual({ status: 200, body: { ...Object(first.body), repeated: true } });
    }
  });

  it('repeated with other content is refused', async () => {
    const request = wish();
    await intends(request);
    for (const changed of [{ mode: 'suspend' as const }, { reason: 'another' }, { notAfter: wish().notAfter, reason: 'x' }]) {
      const other = intentRequest.parse({ ...request, ...changed });
      expect(await intends(other)).toMatchObject({ status: 409, body: { code: 'MIGRATION_ID_TAKEN' } });
    }
  });

  it('for a VM that is moving is refused', async () => {
    const request = wish();
    await intends(request);
    const second = { ...request, migration: migrationId.parse(wish().migration) };
    expect(await intends(second)).toMatchObject({ status: 409, body: { code: 'VM_MOVING' } });
  });

  it.each<[string, Partial<Record<keyof IntentRequest, string>>, number, string]>([
    ['a VM that is not here', { vm: `${A}/00000000-0000-4000-8000-000000000009` }, 404, 'VM_UNKNOWN'],
    ['a peer without an agreement', { target: 'csp-z.example' }, 404, 'PEER_UNKNOWN'],
    ['itself as the target', { target: A }, 404, 'PEER_UNKNOWN'],
    ['a time limit in the past', { notAfter: new Date(NOW_MS - 1).toISOString() }, 409, 'INTENT_EXPIRED'],
    ['what policy denies', { vm: `${A}/00000000-0000-4000-8000-000000000006` }, 403, 'POLICY_DENIES'],
    ['what needs a second person', { vm: `${A}/00000000-0000-4000-8000-000000000008` }, 403, 'APPROVAL_NEEDED'],
  ])('with %s is refused', async (_, changed, status, code) => {
    expect(await intends(wish(changed))).toMatchObject({ status, body: { code } });
  });

  it('that is refused leaves nothing behind', async () => {
    const request = wish({ vm: `${A}/00000000-0000-4000-8000-000000000006` });
    await intends(request);
    const allowed = intentRequest.parse({ ...request, vm: wish().vm });
    expect(await intends(allowed)).toMatchObject({ status: 200, body: { repeated: false } });
  });
});

describe.each([
  { name: 'a certificate', door: byMtls },
  { name: 'a token', door: byToken },
])('a signed intent by $name', ({ door }) => {
  const said = (data: object): object => ({ type: 'dev.carnet.migration.signed-intent.v1', data });

  it('signed by another CSP is refused', async () => {
    expect(await door(said(signedBy(foreigner, wish())))).toMatchObject({ status: 403, body: { code: 'SIGNATURE_REFUSED' } });
  });

  it("under another's certificate is refused", async () => {
    const { envelope } = signedBy(scheduler, wish());
    const { certificate } = signedBy(await world.certificateOf(A, 'operator'), wish());
    expect(await door(said({ envelope, certificate }))).toMatchObject({ status: 403, body: { code: 'SIGNATURE_REFUSED' } });
  });

  it('changed after it was signed is refused', async () => {
    const { envelope, certificate } = signedBy(scheduler, wish());
    const payload = Buffer.from(
      JSON.stringify({ ...wish(), vm: vmId.parse(`${A}/00000000-0000-4000-8000-000000000001`) }),
    ).toString('base64');
    expect(await door(said({ envelope: { ...envelope, payload }, certificate }))).toMatchObject({
      status: 403,
      body: { code: 'SIGNATURE_REFUSED' },
    });
  });

  it('with more in it than a request has is refused', async () => {
    const more = { ...wish(), force: true };
    expect(await door(said(signedBy(scheduler, more)))).toMatchObject({ status: 400, body: { code: 'PARAMETER_INVALID' } });
  });
});
